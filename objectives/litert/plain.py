"""An ONNX file as what is to be computed: of one input, constants known, roundings set apart.

A file of ours says where integers are by a QuantizeLinear and a DequantizeLinear behind a value,
and stores weights behind operators that unpack them. Both are no computing: a value has a scale, a
weight has integers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper
from onnx.helper import get_attribute_value
from onnx.reference import ReferenceEvaluator

from objectives.errors import MeasurementError
from objectives.litert.sizing import sized

KEEPING = {"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity"}
"""These give the numbers that they are given."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How numbers are integers: number = scale (integer - zero point)."""

    scale: np.ndarray
    """() or one for each channel."""
    zero_point: np.ndarray
    """Shaped alike, int64; of int8."""
    axis: int = 0
    """The one of channels."""

    @classmethod
    def of(cls, scale: float, zero_point: float) -> "Scale":
        """Return one for all channels."""
        return cls(np.array(scale, np.float32), np.array(round(zero_point), np.int64))

    @classmethod
    def of_range(cls, low: float, high: float) -> "Scale":
        """Return the one in which int8 reaches from `low` to `high`, and has a zero."""
        low, high = min(0.0, low), max(0.0, high)
        scale = max(high - low, 1e-8) / 255
        return cls.of(scale, -128 - low / scale)

    def integers(self, values: np.ndarray) -> np.ndarray:
        """Return numbers as int8."""
        found = np.rint(values / self.scale) + self.zero_point
        integers: np.ndarray = np.clip(found, -128, 127).astype(np.int8)
        return integers

    @property
    def key(self) -> tuple[float, int]:
        """The two numbers of one for all channels."""
        return float(self.scale), int(self.zero_point)

    @property
    def range(self) -> tuple[float, float]:
        """The numbers that -128 and 127 stand for, where all channels have the same scale."""
        scale, zero_point = self.key
        return scale * (-128 - zero_point), scale * (127 - zero_point)

    @property
    def is_one(self) -> bool:
        """Whether all channels have the same."""
        return self.scale.size == 1


@dataclass(frozen=True, slots=True)
class Constant:
    """A number that the file holds."""

    values: np.ndarray
    """As they are computed with."""
    integers: np.ndarray | None = None
    """As they are stored, where that is integers."""
    scale: Scale | None = None
    """Of these."""
    is_half: bool = False
    """Whether they are stored as float16, and widened."""

    @property
    def fits_int8(self) -> bool:
        """Whether LiteRT's int8 holds it as a weight, which has no zero point there."""
        return (
            self.integers is not None
            and self.scale is not None
            and not self.scale.zero_point.any()
            and bool(np.abs(self.integers.astype(np.int32)).max(initial=0) <= 127)
        )


@dataclass(slots=True)
class Plain:
    """What a file computes."""

    nodes: list[NodeProto]
    """In order, without those that round or unpack."""
    inputs: list[str]
    outputs: list[str]
    shapes: dict[str, tuple[int, ...]]
    """Of every value, for one input."""
    types: dict[str, int]
    """Of every value, as ONNX numbers them."""
    model: bytes
    """What computes all of these values, one input at a time: an ONNX file."""
    constants: dict[str, Constant] = field(default_factory=dict)
    scales: dict[str, Scale] = field(default_factory=dict)
    """Of the values that are rounded to integers."""


def attributes(node: NodeProto) -> dict[str, Any]:
    """Return the attributes of a node by name."""
    return {each.name: get_attribute_value(each) for each in node.attribute}


def plain(content: bytes, shapes: Mapping[str, Sequence[int]]) -> Plain:
    """Return what an ONNX file computes.

    Args:
        content: The file.
        shapes: Of each of its inputs, one row of it.

    Raises:
        MeasurementError: Shapes depend on more than those of the inputs.
    """
    model = sized(onnx.load_from_string(content), shapes)
    graph = model.graph
    known = {
        value.name: value.type.tensor_type
        for value in (*graph.value_info, *graph.input, *graph.output)
    }
    found = Plain(
        nodes=[],
        model=model.SerializeToString(),
        inputs=list(shapes),
        outputs=[value.name for value in graph.output],
        shapes={
            name: tuple(dim.dim_value for dim in each.shape.dim) for name, each in known.items()
        },
        types={name: each.elem_type for name, each in known.items()},
        constants={
            tensor.name: Constant(numpy_helper.to_array(tensor)) for tensor in graph.initializer
        },
    )
    names: dict[str, str] = {}  # of what is only rounded, whose it is
    for node in graph.node:
        renamed = NodeProto.FromString(node.SerializeToString())
        for place, name in enumerate(node.input):
            renamed.input[place] = names.get(name, name)
        if all(name in found.constants or not name for name in node.input):
            found.constants[node.output[0]] = _computed(renamed, found.constants)
        elif node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
            _, scale, zero = (found.constants.get(name) for name in renamed.input)
            assert scale is not None
            assert zero is not None
            names[node.output[0]] = renamed.input[0]
            found.scales[renamed.input[0]] = _of_int8(scale.values, zero.values)
        else:
            found.nodes.append(renamed)
    for node in found.nodes:
        for name in node.output:
            if 0 in found.shapes.get(name, (0,)) and name:
                raise MeasurementError(f"The shape of '{name}' is not known before it runs.")
    found.outputs = [names.get(name, name) for name in found.outputs]
    return found


def _of_int8(scale: np.ndarray, zero: np.ndarray) -> Scale:
    """Return a scale for int8, also of uint8."""
    shift = 128 if zero.dtype == np.uint8 else 0
    return Scale(scale.astype(np.float32), zero.astype(np.int64) - shift)


def _computed(node: NodeProto, constants: Mapping[str, Constant]) -> Constant:
    """Return what a node makes of constants, and as which integers they are stored."""
    given = [constants[name] if name else None for name in node.input]
    values = _run(node, [None if each is None else each.values for each in given])
    first = given[0]
    assert first is not None
    half = first.is_half or first.values.dtype == np.float16
    if half and values.dtype == np.float32 and node.op_type in {"Cast", *KEEPING}:
        return Constant(values, is_half=True)
    if node.op_type == "DequantizeLinear":
        scale, zero = given[1], given[2]
        assert scale is not None
        assert zero is not None
        axis = next((each.i for each in node.attribute if each.name == "axis"), 0)
        own = Scale(scale.values, zero.values.astype(np.int64), axis)
        return Constant(values, first.values if first.integers is None else first.integers, own)
    if node.op_type == "Cast" and first.values.dtype.kind in "iu" and values.dtype.kind in "fi":
        one, none = np.ones((), np.float32), np.zeros((), np.int64)
        return Constant(values, first.values.astype(np.int32), Scale(one, none))
    if first.integers is not None and first.scale is not None and len(given) > 1:
        other = given[1]
        assert other is not None
        flat = other.values.reshape(-1) if other.values.size > 1 else other.values.reshape(())
        if node.op_type == "Sub":
            zero_point = flat.astype(np.int64)
            return Constant(values, first.integers, Scale(first.scale.scale, zero_point))
        if node.op_type == "Mul":
            zeros = np.broadcast_to(first.scale.zero_point, flat.shape)
            return Constant(values, first.integers, Scale(flat.astype(np.float32), zeros))
    return Constant(values)


def _run(node: NodeProto, given: Sequence[np.ndarray | None]) -> np.ndarray:
    inputs = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(each.dtype), each.shape
        )
        for name, each in dict(zip(node.input, given, strict=True)).items()
        if each is not None
    ]
    output = helper.make_empty_tensor_value_info(node.output[0])
    model = helper.make_model(
        helper.make_graph([node], "g", inputs, [output]),
        opset_imports=[helper.make_opsetid("", 21)],
    )
    feeds = {name: each for name, each in zip(node.input, given, strict=True) if each is not None}
    found: Any = ReferenceEvaluator(model).run(None, feeds)
    return np.asarray(found[0])
