"""Parts of values: slices, splits, gathered patches; and values with more around them."""

import numpy as np
from onnx import NodeProto

from objectives.errors import MeasurementError
from objectives.litert.activations import attributes
from objectives.litert.writer import Writer

MODES = {b"reflect": 0, b"symmetric": 1}
"""Of MIRROR_PAD, by ONNX's names."""


def _input(writer: Writer, node: NodeProto, place: int) -> list[int] | None:
    """Return whole numbers that a node takes as an input; None if it is left out."""
    if len(node.input) <= place or not node.input[place]:
        return None
    held = writer.constant(node.input[place])
    if held is None:
        raise MeasurementError(f"LiteRT's files have a {node.op_type} by constants only.")
    numbers: list[int] = held.values.reshape(-1).astype(np.int64).tolist()
    return numbers


def _on_floats(writer: Writer, node: NodeProto) -> bool:
    return not writer.on_integers or node.output[0] not in writer.plain.scales


def _cut(writer: Writer, node: NodeProto, given: str, begins: list[int], steps: list[int]) -> None:
    """Write what begins at `begins` of the first input and takes each `steps`-th of it."""
    name, images = node.input[0], given in writer.images
    floats = not writer.on_integers or given not in writer.plain.scales
    scale = None if floats else writer.plain.scales[given]
    reads = writer.read(name, floats=floats, images=images, scale=scale)
    shape = writer.shape(given)
    order = [writer.axis(name, axis) if images else axis for axis in range(len(shape))]
    start, pace = [0] * len(shape), [1] * len(shape)
    for axis, place in enumerate(order):
        start[place], pace[place] = begins[axis], steps[axis]
    end = [
        first + (side - 1) * step + 1 for first, side, step in zip(start, shape, pace, strict=True)
    ]
    held = [writer.builder.constant(np.array(each, np.int32)) for each in (start, end, pace)]
    made = writer.add(given, floats=floats)
    writer.builder.operator("STRIDED_SLICE", [reads, *held], [made], kind="StridedSliceOptions")


def slices(writer: Writer, node: NodeProto) -> None:
    """A part of a value, along some of its axes."""
    shape = writer.plain.shapes[node.input[0]]
    starts, ends = _input(writer, node, 1), _input(writer, node, 2)
    assert starts is not None
    assert ends is not None
    axes = _input(writer, node, 3) or list(range(len(starts)))
    paces = _input(writer, node, 4) or [1] * len(starts)
    if any(pace < 1 for pace in paces):
        raise MeasurementError("LiteRT's files have no Slice that goes backwards.")
    begins, steps = [0] * len(shape), [1] * len(shape)
    for axis, start, pace in zip(axes, starts, paces, strict=True):
        side = shape[axis]
        begins[axis % len(shape)] = min(max(start + side if start < 0 else start, 0), side)
        steps[axis % len(shape)] = pace
    _cut(writer, node, node.output[0], begins, steps)


def split(writer: Writer, node: NodeProto) -> None:
    """A value in parts, side by side along an axis."""
    shapes = writer.plain.shapes
    axis = int(attributes(node).get("axis", 0)) % len(shapes[node.input[0]])
    begins = [0] * len(shapes[node.input[0]])
    for given in node.output:
        _cut(writer, node, given, begins, [1] * len(begins))
        begins[axis] += shapes[given][axis]


def pad(writer: Writer, node: NodeProto) -> None:
    """A value with a constant around it, or with its own numbers mirrored."""
    name, given = node.input[0], node.output[0]
    mode = attributes(node).get("mode", b"constant")
    if mode != b"constant" and mode not in MODES:
        raise MeasurementError(f"LiteRT's files have no Pad of mode {mode.decode()}.")
    pads, axes = _input(writer, node, 1), _input(writer, node, 3)
    assert pads is not None
    count = len(writer.plain.shapes[name])
    axes = axes or list(range(count))
    if any(each < 0 for each in pads):
        raise MeasurementError("LiteRT's files have no Pad that takes away.")
    images, floats = given in writer.images, _on_floats(writer, node)
    scale = None if floats else writer.plain.scales[given]
    reads = writer.read(name, floats=floats, images=images, scale=scale)
    sides = np.zeros((count, 2), np.int32)
    for place, axis in enumerate(axes):
        at = writer.axis(name, axis) if images else axis % count
        sides[at] = pads[place], pads[place + len(axes)]
    made, around = writer.add(given, floats=floats), writer.builder.constant(sides)
    value = writer.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    number = np.zeros(1, np.float32) if value is None else value.values.reshape(1)
    if mode in MODES:
        writer.builder.operator(
            "MIRROR_PAD", [reads, around], [made], kind="MirrorPadOptions", mode=MODES[mode]
        )
        return
    held = number.astype(np.float32) if scale is None else scale.integers(number)
    constant = writer.builder.constant(held, scale)
    writer.builder.operator("PADV2", [reads, around, constant], [made], kind="PadV2Options")


def gather_nd(writer: Writer, node: NodeProto) -> None:
    """Places of a value by constant indices, as patches of an adaptive pooling are taken."""
    name, given = node.input[0], node.output[0]
    index = writer.constant(node.input[1])
    if index is None or attributes(node).get("batch_dims"):
        raise MeasurementError("LiteRT's files have a GatherND by constant indices only.")
    shape = writer.plain.shapes[name]
    known = index.values.shape[-1]
    sides, rest = shape[:known], shape[known:]
    along = [index.values[..., axis] % side for axis, side in enumerate(sides)]
    places = np.ravel_multi_index(tuple(along), sides)
    floats = _on_floats(writer, node)
    scale = None if floats else writer.plain.scales[given]
    reads = writer.read(name, floats=floats, images=False, scale=scale)
    builder, dtype = writer.builder, np.float32 if floats else np.int8
    rows = builder.tensor((int(np.prod(sides)), int(np.prod(rest))), dtype, scale)
    taken = builder.tensor((places.size, int(np.prod(rest))), dtype, scale)
    flattened = builder.constant(np.array([-1, int(np.prod(rest))], np.int32))
    builder.operator("RESHAPE", [reads, flattened], [rows], kind="ReshapeOptions")
    flat = builder.constant(places.reshape(-1).astype(np.int32))
    builder.operator("GATHER", [rows, flat], [taken], kind="GatherOptions", axis=0)
    final = builder.constant(np.array(writer.plain.shapes[given], np.int32))
    made = writer.add(given, floats=floats)
    builder.operator("RESHAPE", [taken, final], [made], kind="ReshapeOptions")


def where(writer: Writer, node: NodeProto) -> None:
    """Numbers of one value where a mask says so, else of another, on floats."""
    mask = writer.constant(node.input[0])
    if mask is None:
        raise MeasurementError("LiteRT's files have a Where by a constant mask only.")
    condition = writer.builder.constant(mask.values.astype(np.bool_))
    reads = [writer.read(name, floats=True, images=False) for name in node.input[1:]]
    made = writer.add(node.output[0], floats=True)
    writer.builder.operator("SELECT_V2", [condition, *reads], [made], kind="SelectV2Options")
