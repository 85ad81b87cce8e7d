"""What takes a part of a value, or puts something around it."""

import numpy as np
from onnx import NodeProto

from objectives.errors import MeasurementError
from objectives.litert.plain import attributes
from objectives.litert.writer import Writer


def _fixed(writer: Writer, node: NodeProto, place: int) -> list[int] | None:
    """Return an input that is a list of integers; None of one that is left out."""
    held = writer.fixed(node, place, "in fixed places")
    return None if held is None else [int(each) for each in held.reshape(-1)]


def _floats(writer: Writer, name: str) -> bool:
    return not writer.on_integers or name not in writer.plain.scales


def _held(writer: Writer, numbers: list[int]) -> int:
    return writer.builder.constant(np.array(numbers, np.int32))


def slice_(writer: Writer, node: NodeProto) -> None:
    """Every n-th place from one to another, along axes."""
    name, given = node.input[0], node.output[0]
    shape = writer.plain.shapes[name]
    starts, stops, axes, steps = (_fixed(writer, node, place) for place in range(1, 5))
    assert starts is not None
    assert stops is not None
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if min(steps) < 1:
        raise MeasurementError("LiteRT's files have a Slice with steps of 1 or more only.")
    floats, images = _floats(writer, name), given in writer.images
    scale = None if floats else writer.scale(given)
    reads = writer.read(name, floats=floats, images=images, scale=scale)
    made = writer.add(given, floats=floats)
    begin, end = [0] * len(shape), list(writer.builder.shape(reads))
    stride = [1] * len(shape)
    for start, stop, axis, step in zip(starts, stops, axes, steps, strict=True):
        place, side = writer.axis(given, axis), shape[axis]
        begin[place], end[place], _ = slice(start, stop).indices(side)
        stride[place] = step
    inputs = [reads, *(_held(writer, each) for each in (begin, end, stride))]
    writer.builder.operator("STRIDED_SLICE", inputs, [made], kind="StridedSliceOptions")


def split(writer: Writer, node: NodeProto) -> None:
    """Parts one after the other along an axis."""
    name, images = node.input[0], node.output[0] in writer.images
    floats = _floats(writer, name)
    scale = None if floats else writer.scale(node.output[0])
    reads = writer.read(name, floats=floats, images=images, scale=scale)
    made = [writer.add(given, floats=floats, images=images) for given in node.output]
    axis = writer.axis(node.output[0], int(attributes(node).get("axis", 0)))
    sizes = [writer.builder.shape(each)[axis] for each in made]
    inputs = [reads, _held(writer, sizes), writer.builder.constant(np.array(axis, np.int32))]
    writer.builder.operator("SPLIT_V", inputs, made, kind="SplitVOptions", numSplits=len(made))


def pad(writer: Writer, node: NodeProto) -> None:
    """A number around a value, or what is inside mirrored."""
    name, given = node.input[0], node.output[0]
    mode = attributes(node).get("mode", b"constant").decode()
    pads, axes = _fixed(writer, node, 1), _fixed(writer, node, 3)
    assert pads is not None
    if mode not in {"constant", "reflect"} or min(pads) < 0:
        raise MeasurementError(
            "LiteRT's files have a Pad with a number or by reflection, of 0 or more places, only."
        )
    rank = writer.rank(name)
    axes = list(range(rank)) if axes is None else axes
    value = 0.0
    if len(node.input) > 2 and node.input[2]:
        held = writer.constant(node.input[2])
        if held is None:
            raise MeasurementError("LiteRT's files have a Pad with a number of the file only.")
        value = float(held.values.reshape(()))
    floats, images = _floats(writer, name), given in writer.images
    scale = None if floats else writer.scale(given)
    reads = writer.read(name, floats=floats, images=images, scale=scale)
    made = writer.add(given, floats=floats)
    around = np.zeros((rank, 2), np.int32)
    for place, axis in enumerate(axes):
        around[writer.axis(given, axis)] = pads[place], pads[place + len(axes)]
    inputs = [reads, writer.builder.constant(around)]
    if mode == "reflect":
        writer.builder.operator("MIRROR_PAD", inputs, [made], kind="MirrorPadOptions", mode=0)
    elif value == 0:
        writer.builder.operator("PAD", inputs, [made], kind="PadOptions")
    else:
        number = np.array([max(value, float(np.finfo(np.float32).min))], np.float32)
        border = writer.builder.constant(
            number if scale is None else scale.integers(number), scale
        )
        writer.builder.operator("PADV2", [*inputs, border], [made], kind="PadV2Options")


def gather(writer: Writer, node: NodeProto) -> None:
    """Rows of a table, or places of a value."""
    name, places = node.input
    given, axis = node.output[0], int(attributes(node).get("axis", 0)) % writer.rank(name)
    floats = _floats(writer, name)
    scale = None if floats else writer.scale(given)
    reads = writer.read(name, floats=floats, images=False, scale=scale)
    index = _places(writer, places, writer.shape_of(name)[axis])
    made = writer.add(given, floats=floats, images=False)
    writer.builder.operator("GATHER", [reads, index], [made], kind="GatherOptions", axis=axis)


def _places(writer: Writer, name: str, side: int) -> int:
    """Return the tensor of indices, which LiteRT has from 0 only."""
    held = writer.constant(name)
    if held is None:
        return writer.read(name, floats=True, images=False)
    return writer.builder.constant((held.values % side).astype(np.int32))


def gather_nd(writer: Writer, node: NodeProto) -> None:
    """Parts of a value at places of its first axes."""
    name, given, held = node.input[0], node.output[0], writer.constant(node.input[1])
    if held is None or attributes(node).get("batch_dims", 0):
        raise MeasurementError("LiteRT's files have a GatherND of fixed places only.")
    floats = _floats(writer, name)
    scale = None if floats else writer.scale(given)
    reads = writer.read(name, floats=floats, images=False, scale=scale)
    sides = np.array(writer.plain.shapes[name][: held.values.shape[-1]])
    index = writer.builder.constant((held.values % sides).astype(np.int32))
    made = writer.add(given, floats=floats, images=False)
    writer.builder.operator("GATHER_ND", [reads, index], [made], kind="GatherNdOptions")
