"""Which activation an operator of LiteRT computes itself, as a part of it."""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from onnx import NodeProto
from onnx.helper import get_attribute_value

from objectives.errors import MeasurementError
from objectives.litert.writer import Writer

NONE = schema.ActivationFunctionType.NONE
RELU = schema.ActivationFunctionType.RELU
RELU6 = schema.ActivationFunctionType.RELU6


def activation_of(writer: Writer, node: NodeProto) -> int | None:
    """Return what a Relu or Clip is, None of a Clip with other limits."""
    if node.op_type == "Relu":
        return int(RELU)
    limits = [writer.constant(name) for name in node.input[1:3]]
    low, high = (None if each is None else float(each.values) for each in limits)
    if low == 0 and high == 6:
        return int(RELU6)
    return int(RELU) if low == 0 and high is None else None


def fused(writer: Writer, name: str) -> tuple[int, str]:
    """Return the activation that alone reads the value `name`, and what it gives.

    That is then what the operator gives; else the value itself.
    """
    readers = writer.readers.get(name, [])
    if len(readers) == 1 and name not in writer.plain.outputs:
        reader = readers[0]
        if reader.op_type in {"Relu", "Clip"}:
            found = activation_of(writer, reader)
            if found is not None:
                return found, reader.output[0]
    return int(NONE), name


def attributes(node: NodeProto) -> dict[str, Any]:
    """Return the attributes of a node by name."""
    return {each.name: get_attribute_value(each) for each in node.attribute}


def padding_of(
    pads: list[int], sides: tuple[int, ...], kernel: tuple[int, ...], strides: list[int]
) -> int | None:
    """Return LiteRT's padding that is `pads` (top, left, bottom, right); None if none is."""
    if not any(pads):
        return int(schema.Padding.VALID)
    total = [
        max((-(-side // stride) - 1) * stride + size - side, 0)
        for side, size, stride in zip(sides, kernel, strides, strict=True)
    ]
    same = [each // 2 for each in total] + [each - each // 2 for each in total]
    return int(schema.Padding.SAME) if list(pads) == same else None


def padded(
    writer: Writer,
    number: int,
    shape: tuple[int, ...],
    pads: list[int],
    name: str,
    *,
    lowest: bool = False,
) -> int:
    """Return the tensor (N, H, W, C) with zeros around it, or with the lowest number there is.

    Args:
        writer: Of the file.
        number: Of the tensor.
        shape: Of it.
        pads: Top, left, bottom, right.
        name: Of the value whose scale it has.
        lowest: Whether not with zeros, so that no maximum is one of them.
    """
    sides = np.array([[0, 0], [pads[0], pads[2]], [pads[1], pads[3]], [0, 0]], dtype=np.int32)
    wide = [side + int(more.sum()) for side, more in zip(shape, sides, strict=True)]
    integers = writer.on_integers and name in writer.plain.scales
    made = writer.builder.tensor(
        wide, np.int8 if integers else np.float32, writer.plain.scales[name] if integers else None
    )
    around = writer.builder.constant(sides)
    if lowest:
        least = np.int8(-128) if integers else np.finfo(np.float32).min
        dtype = np.int8 if integers else np.float32
        scale = writer.plain.scales[name] if integers else None
        value = writer.builder.constant(np.full(1, least, dtype), scale)
        writer.builder.operator("PADV2", [number, around, value], [made], kind="PadV2Options")
    else:
        writer.builder.operator("PAD", [number, around], [made], kind="PadOptions")
    return made


def require_last(node: NodeProto, shape: tuple[int, ...]) -> None:
    """Raise `MeasurementError` unless a node works along the last axis of `shape`."""
    if int(attributes(node).get("axis", -1)) % len(shape) != len(shape) - 1:
        raise MeasurementError(f"LiteRT's files have a {node.op_type} over the last axis only.")
