"""What works number by number, on one value or on two."""

from functools import reduce

import numpy as np
from onnx import NodeProto, TensorProto

from objectives.errors import MeasurementError
from objectives.litert.activations import fused
from objectives.litert.plain import Scale, attributes
from objectives.litert.scales import LARGEST
from objectives.litert.writer import Writer

BINARY = {"Add": "ADD", "Sub": "SUB", "Mul": "MUL", "Div": "DIV"}
EXTREMES = {"Max": "MAXIMUM", "Min": "MINIMUM"}
UNARY = {
    "Sigmoid": "LOGISTIC",
    "Tanh": "TANH",
    "HardSwish": "HARD_SWISH",
    "Gelu": "GELU",
    "Sqrt": "SQRT",
    "Exp": "EXP",
    "Log": "LOG",
    "Neg": "NEG",
    "Abs": "ABS",
    "Sin": "SIN",
    "Cos": "COS",
}
ON_INTEGERS = {"LOGISTIC", "TANH", "HARD_SWISH", "GELU"}

MOST_AXES = 5
"""Of what LiteRT chooses from."""


def require_floats(writer: Writer, node: NodeProto) -> None:
    """Raise `MeasurementError` where a node computes with integers, as of positions."""
    if writer.plain.types.get(node.output[0], TensorProto.FLOAT) != TensorProto.FLOAT:
        raise MeasurementError(
            f"LiteRT's files are written without {node.op_type} of integers yet."
        )


def _has_no_scale(writer: Writer, name: str) -> bool:
    held = writer.constant(name)
    return held is not None and bool(np.abs(held.values).max(initial=0) >= LARGEST)


def operands(
    writer: Writer, node: NodeProto, *, floats: bool, scale: Scale | None = None
) -> list[int]:
    """Return the tensors of all that a node reads, so that they broadcast as in ONNX."""
    given = node.output[0]
    return [
        writer.read(
            name,
            floats=floats,
            images=given in writer.images,
            scale=scale,
            rank=writer.rank(given),
        )
        for name in node.input
    ]


def binary(writer: Writer, node: NodeProto) -> None:
    """A sum, difference, product or quotient; a constant broadcasts as in ONNX."""
    require_floats(writer, node)
    operator = BINARY[node.op_type]
    floats = writer.needs_floats(*node.input, *node.output) or operator == "DIV"
    floats = floats or any(_has_no_scale(writer, name) for name in node.input)
    activation, given = fused(writer, node.output[0])
    reads = operands(writer, node, floats=floats)
    writer.alias(node.output[0], given)
    made = writer.add(given, floats=floats)
    writer.builder.operator(
        operator,
        reads,
        [made],
        kind=f"{operator.capitalize()}Options",
        fusedActivationFunction=activation,
    )


def extremes(writer: Writer, node: NodeProto) -> None:
    """The larger or the smaller of values, of one scale."""
    require_floats(writer, node)
    given, operator = node.output[0], EXTREMES[node.op_type]
    floats = writer.needs_floats(*node.input, given)
    reads = operands(writer, node, floats=floats, scale=None if floats else writer.scale(given))
    made = writer.add(given, floats=floats)
    shape = writer.builder.shape(made)
    if len(reads) == 1:
        writer.builder.reshape(reads[0], shape, made)
        return

    def both(one: int, other: int) -> int:
        sides = np.broadcast_shapes(writer.builder.shape(one), writer.builder.shape(other))
        both_of = made if other == reads[-1] else writer.builder.like(made, sides)
        writer.builder.operator(operator, [one, other], [both_of], kind="MaximumMinimumOptions")
        return both_of

    reduce(both, reads)


def unary(writer: Writer, node: NodeProto) -> None:
    """One of `UNARY`."""
    require_floats(writer, node)
    operator, name, given = UNARY[node.op_type], node.input[0], node.output[0]
    floats = operator not in ON_INTEGERS or writer.needs_floats(name, given)
    reads = writer.read(name, floats=floats, images=given in writer.images)
    made = writer.add(given, floats=floats)
    options: dict[str, object] = {}
    if operator == "GELU":
        is_tanh = attributes(node).get("approximate") == b"tanh"
        options = {"kind": "GeluOptions", "approximate": is_tanh}
    if operator == "HARD_SWISH":
        options = {"kind": "HardSwishOptions"}
    writer.builder.operator(operator, [reads], [made], **options)


def power(writer: Writer, node: NodeProto) -> None:
    """A power with an exponent that the file holds."""
    name, given, held = node.input[0], node.output[0], writer.constant(node.input[1])
    if held is None:
        raise MeasurementError("LiteRT's files have a Pow with exponents of the file only.")
    squares = bool((held.values == 2).all())
    floats = not squares or writer.needs_floats(name, given)
    images, rank = given in writer.images, writer.rank(given)
    reads = writer.read(name, floats=floats, images=images, rank=rank)
    made = writer.add(given, floats=floats)
    if squares:
        writer.builder.operator("MUL", [reads, reads], [made], kind="MulOptions")
    elif (held.values == 0.5).all():
        writer.builder.operator("SQRT", [reads], [made])
    else:
        exponents = writer.read(node.input[1], floats=True, images=images, rank=rank)
        writer.builder.operator("POW", [reads, exponents], [made], kind="PowOptions")


def reciprocal(writer: Writer, node: NodeProto) -> None:
    """One by a value, on floats."""
    given = node.output[0]
    reads = writer.read(node.input[0], floats=True, images=given in writer.images)
    made = writer.add(given, floats=True)
    one = writer.builder.number(1.0)
    writer.builder.operator("DIV", [one, reads], [made], kind="DivOptions")


def where(writer: Writer, node: NodeProto) -> None:
    """One of two values, number by number, on floats."""
    require_floats(writer, node)
    given = node.output[0]
    chosen, *others = operands(writer, node, floats=True)
    made = writer.add(given, floats=True)
    if writer.rank(given) > MOST_AXES:
        mask, first = (writer.constant(name) for name in node.input[:2])
        if mask is None or first is None or first.values.any():
            raise MeasurementError(
                f"LiteRT's files have a Where of up to {MOST_AXES} axes, or one that puts zeros."
            )
        kept = writer.builder.constant((~mask.values).astype(np.float32))
        writer.builder.operator("MUL", [others[1], kept], [made], kind="MulOptions")
        return
    writer.builder.operator("SELECT_V2", [chosen, *others], [made], kind="SelectV2Options")


def cast(writer: Writer, node: NodeProto) -> None:
    """Numbers of another type."""
    name, given = node.input[0], node.output[0]
    before, after = (writer.plain.types[each] for each in (name, given))
    if before == after:
        writer.alias(given, name)
        return
    if before == TensorProto.FLOAT or after not in {TensorProto.FLOAT, TensorProto.INT64}:
        raise MeasurementError("LiteRT's files have a Cast of integers to floats only.")
    reads = writer.read(name, floats=True, images=False)
    made = writer.add(given, floats=True, images=False)
    kinds = [writer.builder.type_of(each) for each in (reads, made)]
    options = {"kind": "CastOptions", "inDataType": kinds[0], "outDataType": kinds[1]}
    writer.builder.operator("CAST", [reads], [made], **options)
