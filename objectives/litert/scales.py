"""Which scale each value has where a file computes on integers.

What our file rounds keeps its scale. Operators of LiteRT that move numbers want one scale on both
sides: that of what our file rounds, if it reaches over all of them. What is left has the range
that it takes on training inputs.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import NodeProto, ValueInfoProto

from objectives.litert.plain import Plain, Scale
from objectives.network.groups import Groups
from objectives.onnx_session import open_session

MOVING = {
    "MaxPool",
    "AveragePool",
    "Reshape",
    "Flatten",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Identity",
    "Concat",
    "Expand",
    "Pad",
    "Slice",
    "Split",
    "Gather",
    "GatherND",
    "Resize",
    "ReduceMax",
    "ReduceMin",
    "GlobalMaxPool",
}
"""What these read and give has one scale."""

IN_ORDER = {
    "MaxPool",
    "GlobalMaxPool",
    "Concat",
    "Reshape",
    "Flatten",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Identity",
}
"""What gives the same if numbers are cut before as if they are cut behind."""

LARGEST = 1e30
"""Values that reach beyond, as those with -inf in a mask, have no scale: they are floats."""

FIXED = {
    "Sigmoid": Scale.of(1 / 256, -128),
    "Softmax": Scale.of(1 / 256, -128),
    "Tanh": Scale.of(1 / 128, 0),
}
"""What LiteRT wants of what these give."""


def complete_scales(plain: Plain, feeds: Sequence[Mapping[str, np.ndarray]]) -> None:
    """Give each float of `plain` that is computed a scale, in place.

    Args:
        plain: What the file computes.
        feeds: Training inputs, by the names of the file's inputs.
    """
    groups = Groups()
    cut = _cut_later(plain)
    for node in plain.nodes:
        moved = [*node.input[: None if node.op_type == "Concat" else 1], *node.output]
        moves = node.op_type in MOVING and not _brings_a_number(plain, node)
        if moves or (_cuts(plain, node) and node.input[0] in cut):
            for name in moved:
                if name in plain.shapes and name not in plain.constants:
                    groups.join(name, node.output[0])
        if node.op_type in FIXED:
            plain.scales[node.output[0]] = FIXED[node.op_type]
    named: dict[str, Scale] = {}
    for name, scale in plain.scales.items():
        group = groups.of(name)
        named[group] = _wide_enough(named.get(group, scale), scale.range)
    computed = [*plain.inputs, *(name for node in plain.nodes for name in node.output if name)]
    floats = [name for name in computed if plain.types.get(name) == onnx.TensorProto.FLOAT]
    left = [name for name in floats if name not in plain.scales]
    ranges: dict[str, tuple[float, float]] = {}
    for name, found in _ranges(plain.model, left, feeds).items():
        if name not in cut:
            group = groups.of(name)
            ranges[group] = _both(ranges.get(group, (0.0, 0.0)), found)
    for name in left:
        group = groups.of(name)
        low, high = ranges.get(group, (0.0, 0.0))
        if max(-low, high) >= LARGEST:
            continue
        has_scale = group in named
        own = Scale.of_range(low, high)
        plain.scales[name] = _wide_enough(named[group], (low, high)) if has_scale else own


def _cut_later(plain: Plain) -> set[str]:
    """Return the values that are cut to what is left of them before anything computes with them.

    That is, by a Relu, or by being rounded in our file.
    """
    readers = Counter(name for node in plain.nodes for name in node.input)
    readers.update(plain.outputs)
    cut: set[str] = set()
    for node in reversed(plain.nodes):
        is_cut = node.output[0] in cut or node.output[0] in plain.scales
        if _cuts(plain, node) or (node.op_type in IN_ORDER and is_cut):
            taken = node.input if node.op_type == "Concat" else node.input[:1]
            cut.update(name for name in taken if readers[name] == 1)
    return cut


def _cuts(plain: Plain, node: NodeProto) -> bool:
    """Return whether a node is a Relu or the like, which may be a part of what it reads."""
    if node.op_type != "Clip":
        return node.op_type == "Relu"
    held = plain.constants.get(node.input[1]) if len(node.input) > 1 else None
    return held is not None and not held.values.any()


def _brings_a_number(plain: Plain, node: NodeProto) -> bool:
    """Return whether a Pad puts a number around that may be beyond what it reads."""
    if node.op_type != "Pad" or len(node.input) < 3 or not node.input[2]:
        return False
    held = plain.constants.get(node.input[2])
    return held is None or -LARGEST < float(held.values.reshape(())) != 0


def _wide_enough(scale: Scale, found: tuple[float, float]) -> Scale:
    """Return the scale, or where numbers lie more than a step outside of it a wider one."""
    low, high = _both(scale.range, found)
    least, most = scale.range
    step = scale.key[0]
    return scale if least - low <= step and high - most <= step else Scale.of_range(low, high)


def _both(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return min(one[0], other[0]), max(one[1], other[1])


def _rows(batch: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Return the inputs of a batch one by one."""
    count = len(next(iter(batch.values())))
    return [
        {name: values[place : place + 1] for name, values in batch.items()}
        for place in range(count)
    ]


def _ranges(
    content: bytes, names: Sequence[str], feeds: Sequence[Mapping[str, np.ndarray]]
) -> dict[str, tuple[float, float]]:
    """Return the least and the largest number of values of a file."""
    model = onnx.load_from_string(content)
    made = {name for node in model.graph.node for name in node.output}
    shown = [name for name in names if name in made]
    ends = {value.name for value in model.graph.output}
    model.graph.output.extend(ValueInfoProto(name=name) for name in shown if name not in ends)
    session = open_session(model.SerializeToString(), "the file", changed="not at all")
    found: dict[str, tuple[float, float]] = {}
    for feed in [row for batch in feeds for row in _rows(batch)]:
        inputs = {name: values for name, values in feed.items() if name in names}
        computed = session.run(shown, feed) if shown else []  # without names it gives all ends
        for name, values in [*zip(shown, computed, strict=True), *inputs.items()]:
            low, high = found.get(name, (0.0, 0.0))
            found[name] = min(low, float(values.min())), max(high, float(values.max()))
    return found
