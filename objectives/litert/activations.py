"""Which activation an operator of LiteRT computes itself, as a part of it."""

from ai_edge_litert import schema_py_generated as schema
from onnx import NodeProto

from objectives.litert.plain import attributes
from objectives.litert.writer import Writer

NONE = schema.ActivationFunctionType.NONE
RELU = schema.ActivationFunctionType.RELU
RELU6 = schema.ActivationFunctionType.RELU6


def limits_of(writer: Writer, node: NodeProto) -> tuple[float | None, float | None]:
    """Return between what a Clip cuts; None is nowhere.

    Raises:
        MeasurementError: That is computed.
    """
    told = attributes(node)
    limits = [told.get("min"), told.get("max")]  # of old files
    for place in (0, 1):
        held = writer.fixed(node, place + 1, "between fixed numbers")
        if held is not None:
            limits[place] = float(held)
    return limits[0], limits[1]


def activation_of(writer: Writer, node: NodeProto) -> int | None:
    """Return what a Relu or Clip is, None of a Clip with other limits."""
    if node.op_type == "Relu":
        return int(RELU)
    low, high = limits_of(writer, node)
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
