"""Maxima, averages and sums: of patches, and over axes."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from onnx import NodeProto

from objectives.errors import MeasurementError
from objectives.litert.patches import (
    Patches,
    finish_image,
    give_image,
    padded,
    patches_of,
    read_image,
)
from objectives.litert.plain import attributes
from objectives.litert.writer import Writer

REDUCTIONS = {
    "ReduceMean": "MEAN",
    "GlobalAveragePool": "MEAN",
    "ReduceSum": "SUM",
    "ReduceMax": "REDUCE_MAX",
    "GlobalMaxPool": "REDUCE_MAX",
    "ReduceMin": "REDUCE_MIN",
}

NOT_NEGATIVE = {"Relu", "Sigmoid", "Softmax"}


def max_pool(writer: Writer, node: NodeProto) -> None:
    """A maximum of patches."""
    patches = patches_of(writer, node, tuple(attributes(node)["kernel_shape"]))
    if patches.dilations != (1, 1) or len(node.output) > 1:
        raise MeasurementError("LiteRT's files have a MaxPool without dilation or places only.")
    floats = not writer.on_integers
    reads = read_image(writer, node, floats=floats, own_scale=False)
    written, made = give_image(writer, node.output[0], floats=floats)
    pads = patches.reaching(writer.builder.shape(written)[1:3])
    padding = patches.padding(pads)
    if padding is None:
        lowest = not _is_positive(writer, node.input[0])
        reads = padded(writer, reads, pads, lowest=lowest)
        padding = int(schema.Padding.VALID)
    _pool(writer, "MAX_POOL_2D", reads, written, patches, padding)
    finish_image(writer, written, made)


def average_pool(writer: Writer, node: NodeProto) -> None:
    """An average of patches.

    Where LiteRT counts other borders than our file does, zeros are around it, and the averages are
    multiplied by how many numbers a patch has in ours; on floats.
    """
    told = attributes(node)
    patches = patches_of(writer, node, tuple(told["kernel_shape"]))
    if patches.dilations != (1, 1):
        raise MeasurementError("LiteRT's files have an AveragePool without dilation only.")
    given = _image_sides(writer, node.output[0])
    pads = patches.reaching(given)
    counts = bool(told.get("count_include_pad")) and any(pads)
    padding = None if counts else patches.padding(pads)
    factors = _factors(patches, pads, given, counts=counts)
    fits = padding is not None or bool((factors == 1).all())
    floats = not writer.on_integers or not fits
    reads = read_image(writer, node, floats=floats, own_scale=False)
    written, made = give_image(writer, node.output[0], floats=floats)
    if padding is None:
        reads = padded(writer, reads, pads)
        padding = int(schema.Padding.VALID)
    target = written if fits else writer.builder.like(written, writer.builder.shape(written))
    _pool(writer, "AVERAGE_POOL_2D", reads, target, patches, padding)
    if not fits:
        held = writer.builder.constant(factors[None, :, :, None])
        writer.builder.operator("MUL", [target, held], [written], kind="MulOptions")
    finish_image(writer, written, made)


def _pool(
    writer: Writer, operator: str, reads: int, written: int, patches: Patches, padding: int
) -> None:
    writer.builder.operator(
        operator,
        [reads],
        [written],
        kind="Pool2DOptions",
        padding=padding,
        **patches.steps,
        filterHeight=patches.kernel[0],
        filterWidth=patches.kernel[1],
    )


def _image_sides(writer: Writer, name: str) -> tuple[int, int]:
    """Return height and width of a value, 1 and the length of rows."""
    sides = writer.plain.shapes[name][2:]
    return (1, sides[0]) if len(sides) == 1 else (sides[0], sides[1])


def _factors(
    patches: Patches, pads: tuple[int, ...], given: tuple[int, int], *, counts: bool
) -> np.ndarray:
    """Return (H, W) by how much more a patch's average is in our file, whose patch has fewer."""
    sizes = []
    for axis in (0, 1):
        begin, end = patches.pads[axis], patches.pads[axis + 2]
        starts = np.arange(given[axis]) * patches.strides[axis] - pads[axis]
        first, last = (-begin, patches.sides[axis] + end) if counts else (0, patches.sides[axis])
        stops = np.minimum(starts + patches.kernel[axis], last)
        sizes.append(stops - np.maximum(starts, first))
    counted = sizes[0][:, None] * sizes[1][None]
    factors: np.ndarray = (np.prod(patches.kernel) / counted).astype(np.float32)
    return factors


def _is_positive(writer: Writer, name: str) -> bool:
    """Return whether zeros around it change no maximum."""
    given = {output: node for node in writer.plain.nodes for output in node.output}
    producer = given.get(name)
    return producer is not None and producer.op_type in NOT_NEGATIVE


def axes_of(writer: Writer, node: NodeProto) -> list[int]:
    """Return the axes that a node reduces, from 0, in our file's layout."""
    shape, told = writer.plain.shapes[node.input[0]], attributes(node)
    if node.op_type.startswith("Global"):
        return list(range(2, len(shape)))
    held = writer.fixed(node, 1, "over fixed axes")
    axes = list(told.get("axes", [])) if held is None else held.reshape(-1).tolist()
    if not axes and not told.get("noop_with_empty_axes"):
        axes = list(range(len(shape)))
    return sorted(int(axis) % len(shape) for axis in axes)


def reduce(writer: Writer, node: NodeProto) -> None:
    """One of `REDUCTIONS` over axes."""
    name, given = node.input[0], node.output[0]
    operator, axes = REDUCTIONS[node.op_type], axes_of(writer, node)
    keeps = node.op_type.startswith("Global") or bool(attributes(node).get("keepdims", 1))
    rank = writer.rank(name)
    images = name in writer.images and (keeps or axes == list(range(2, rank)))
    floats = not writer.on_integers
    moves = operator in {"REDUCE_MAX", "REDUCE_MIN"}  # integers as they are
    scale = writer.scale(given) if moves and not floats else None
    reads = writer.read(name, floats=floats, images=images, scale=scale)
    places = [writer.axis(name, axis) if images else axis for axis in axes]
    made = writer.add(given, floats=floats, images=images and keeps)
    constant = writer.builder.constant(np.array(sorted(places), np.int32))
    writer.builder.operator(
        operator, [reads, constant], [made], kind="ReducerOptions", keepDims=keeps
    )


def length(writer: Writer, node: NodeProto) -> None:
    """The square root of a sum of squares over axes, on floats."""
    name, given, builder = node.input[0], node.output[0], writer.builder
    axes, keeps = axes_of(writer, node), bool(attributes(node).get("keepdims", 1))
    images = keeps and name in writer.images
    reads = writer.read(name, floats=True, images=images)
    places = sorted(writer.axis(name, axis) if images else axis for axis in axes)
    square = builder.floats_of("MUL", [reads, reads], builder.shape(reads), kind="MulOptions")
    made = writer.add(given, floats=True, images=images)
    held = builder.constant(np.array(places, np.int32))
    shape, options = builder.shape(made), {"kind": "ReducerOptions", "keepDims": keeps}
    builder.operator("SQRT", [builder.floats_of("SUM", [square, held], shape, **options)], [made])
