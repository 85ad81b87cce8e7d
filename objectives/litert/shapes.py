"""What moves numbers or gathers them: poolings, reshapes, concatenations, look-ups."""

from collections.abc import Mapping

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from onnx import NodeProto

from objectives.errors import MeasurementError
from objectives.litert.activations import attributes, padded, padding_of
from objectives.litert.writer import Writer


def pool(writer: Writer, node: NodeProto) -> None:
    """A maximum or an average of patches."""
    told = attributes(node)
    name, is_max = node.input[0], node.op_type == "MaxPool"
    floats = not writer.on_integers
    if any(each != 1 for each in list(told.get("dilations", []))):
        raise MeasurementError(f"LiteRT's files have no {node.op_type} with dilation.")
    kernel = tuple(told["kernel_shape"])
    if len(kernel) != 2:
        raise MeasurementError(f"LiteRT's files have a {node.op_type} of images only.")
    strides = list(told.get("strides", [1, 1]))
    pads = list(told.get("pads", [0, 0, 0, 0]))
    pads = _with_ceiling(pads, writer.plain.shapes, node, kernel, strides)
    if not is_max and pads != list(told.get("pads", [0, 0, 0, 0])):
        raise MeasurementError("LiteRT's files have no AveragePool whose ceil_mode adds a patch.")
    scale = None if floats else writer.plain.scales.get(node.output[0])
    reads = writer.read(name, floats=floats, images=True, scale=scale)
    padding = padding_of(pads, writer.plain.shapes[name][2:], kernel, strides)
    counts = not is_max and bool(told.get("count_include_pad")) and any(pads)
    if padding is None or counts:
        if not is_max and not counts:
            raise MeasurementError("LiteRT's files have no such padding of an AveragePool yet.")
        shape = writer.shape(name, images=True)
        reads = padded(writer, reads, shape, pads, node.output[0], lowest=is_max)
        padding = int(schema.Padding.VALID)
    made = writer.add(node.output[0], floats=floats)
    writer.builder.operator(
        "MAX_POOL_2D" if is_max else "AVERAGE_POOL_2D",
        [reads],
        [made],
        kind="Pool2DOptions",
        padding=padding,
        strideH=strides[0],
        strideW=strides[1],
        filterHeight=kernel[0],
        filterWidth=kernel[1],
    )


def _with_ceiling(
    pads: list[int],
    shapes: Mapping[str, tuple[int, ...]],
    node: NodeProto,
    kernel: tuple[int, ...],
    strides: list[int],
) -> list[int]:
    """Return the pads (top, left, bottom, right) with what ceil_mode reads beyond the end."""
    sides, given = shapes[node.input[0]][2:], shapes[node.output[0]][2:]
    ends = [
        max((count - 1) * stride + size - side - before, after)
        for count, stride, size, side, before, after in zip(
            given, strides, kernel, sides, pads[:2], pads[2:], strict=True
        )
    ]
    return [*pads[:2], *ends]


def mean(writer: Writer, node: NodeProto) -> None:
    """An average over axes."""
    name, told = node.input[0], attributes(node)
    shape = writer.plain.shapes[name]
    if node.op_type == "GlobalAveragePool":
        axes, keeps = list(range(2, len(shape))), True
    else:
        held = writer.constant(node.input[1]) if len(node.input) > 1 else None
        axes = list(range(len(shape))) if held is None else held.values.reshape(-1).tolist()
        keeps = bool(told.get("keepdims", 1))
    images = name in writer.images and (keeps or sorted(axis % 4 for axis in axes) == [2, 3])
    floats = not writer.on_integers
    reads = writer.read(name, floats=floats, images=images)
    places = [writer.axis(name, axis) if images else axis % len(shape) for axis in axes]
    made = writer.add(node.output[0], floats=floats)
    constant = writer.builder.constant(np.array(sorted(places), np.int32))
    writer.builder.operator(
        "MEAN", [reads, constant], [made], kind="ReducerOptions", keepDims=keeps
    )


def reshape(writer: Writer, node: NodeProto) -> None:
    """Numbers in another shape; of an image that only dense layers read, channels last."""
    name, given = node.input[0], node.output[0]
    shape, sides = writer.plain.shapes[name], writer.plain.shapes[given]
    floats = not writer.on_integers or name not in writer.plain.scales
    scale = None if floats else writer.plain.scales.get(given)
    source = writer.renamed.get(name, name)
    image = source in writer.images
    flat = image and len(sides) == 2 and sides[0] == shape[0]
    only_dense = all(each.op_type == "Gemm" for each in writer.readers.get(given, []))
    free = image and (shape[1] == 1 or shape[2] * shape[3] == 1)  # one order is the other
    keeps = image and (free or (flat and only_dense and given not in writer.plain.outputs))
    reads = writer.read(name, floats=floats, images=keeps, scale=scale)
    if keeps and not free:
        writer.flattened[given] = tuple(shape[1:])
    made = writer.add(given, floats=floats)
    wanted = np.array(writer.shape(given), np.int32)
    writer.builder.operator(
        "RESHAPE",
        [reads, writer.builder.constant(wanted)],
        [made],
        kind="ReshapeOptions",
        newShape=wanted.tolist(),
    )


def transpose(writer: Writer, node: NodeProto) -> None:
    """Axes in another order."""
    floats = not writer.on_integers or node.input[0] not in writer.plain.scales
    reads = writer.read(node.input[0], floats=floats, images=False)
    order = writer.builder.constant(np.array(attributes(node)["perm"], np.int32))
    images = node.output[0] in writer.images
    writer.images.discard(node.output[0])
    made = writer.add(node.output[0], floats=floats)
    writer.builder.operator("TRANSPOSE", [reads, order], [made], kind="TransposeOptions")
    if images:
        writer.read(node.output[0], floats=floats, images=True)


def concat(writer: Writer, node: NodeProto) -> None:
    """Values side by side, of one scale."""
    given, images = node.output[0], node.output[0] in writer.images
    floats = not writer.on_integers or given not in writer.plain.scales
    scale = None if floats else writer.plain.scales[given]
    reads = [writer.read(name, floats=floats, images=images, scale=scale) for name in node.input]
    axis = writer.axis(given, int(attributes(node)["axis"]))
    made = writer.add(given, floats=floats)
    writer.builder.operator("CONCATENATION", reads, [made], kind="ConcatenationOptions", axis=axis)


def gather(writer: Writer, node: NodeProto) -> None:
    """Rows of a table, or one place of a value; on floats."""
    name, places = node.input
    axis = int(attributes(node).get("axis", 0))
    reads = writer.read(name, floats=True, images=False)
    index = writer.read(places, floats=True, images=False)
    made = writer.add(node.output[0], floats=True)
    axes = len(writer.plain.shapes.get(name, ())) or writer.plain.constants[name].values.ndim
    writer.builder.operator(
        "GATHER", [reads, index], [made], kind="GatherOptions", axis=axis % axes
    )


def expand(writer: Writer, node: NodeProto) -> None:
    """Numbers again and again along axes of length 1."""
    given, images = node.output[0], node.output[0] in writer.images
    floats = not writer.on_integers or given not in writer.plain.scales
    scale = None if floats else writer.plain.scales[given]
    reads = writer.read(node.input[0], floats=floats, images=images, scale=scale)
    made = writer.add(given, floats=floats)
    shape = writer.builder.constant(np.array(writer.shape(given), np.int32))
    writer.builder.operator("BROADCAST_TO", [reads, shape], [made], kind="BroadcastToOptions")


def identity(writer: Writer, node: NodeProto) -> None:
    """Nothing."""
    writer.alias(node.output[0], node.input[0])
