"""What activations make of a number, where no operator computes it as a part of it."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from onnx import NodeProto

from objectives.errors import MeasurementError
from objectives.litert.activations import activation_of, limits_of
from objectives.litert.plain import Scale, attributes
from objectives.litert.writer import Writer

SELU_ALPHA, SELU_GAMMA = 1.6732632, 1.0507010
"""ONNX's defaults."""


def _reads(writer: Writer, node: NodeProto, *, floats: bool) -> int:
    return writer.read(node.input[0], floats=floats, images=node.output[0] in writer.images)


def cut(writer: Writer, node: NodeProto) -> None:
    """A Relu or Clip that no operator computes as a part of it."""
    given = node.output[0]
    if given in writer.renamed.values():  # it was
        return
    floats = writer.needs_floats(node.input[0], given)
    found = activation_of(writer, node)
    if found == schema.ActivationFunctionType.RELU and not floats:
        scale = writer.scale(given)
        assert scale is not None
        if scale.range[0] >= 0:  # as which int8 nothing is below 0
            images = given in writer.images
            number = writer.read(node.input[0], floats=False, images=images, scale=scale)
            writer.share(given, number, floats=False, images=images)
            return
    if found is not None:
        name = "RELU" if found == schema.ActivationFunctionType.RELU else "RELU6"
        reads = _reads(writer, node, floats=floats)
        writer.builder.operator(name, [reads], [writer.add(given, floats=floats)])
        return
    scale = None if floats else writer.scale(given)
    number = writer.read(node.input[0], floats=floats, images=given in writer.images, scale=scale)
    made = writer.add(given, floats=floats)
    bounds = [
        (operator, value)
        for operator, value in zip(("MAXIMUM", "MINIMUM"), limits_of(writer, node), strict=True)
        if value is not None
    ]
    if not bounds:
        writer.builder.reshape(number, writer.builder.shape(made), made)
    for place, (operator, value) in enumerate(bounds):
        held = np.full((1,), value, np.float32)
        bound = writer.builder.constant(held if scale is None else scale.integers(held), scale)
        is_last = place == len(bounds) - 1
        target = made if is_last else writer.builder.like(made, writer.builder.shape(made))
        writer.builder.operator(operator, [number, bound], [target], kind="MaximumMinimumOptions")
        number = target


def hard_sigmoid(writer: Writer, node: NodeProto) -> None:
    """min(max(x + 3, 0), 6) / 6."""
    told = attributes(node)
    slope, offset = (
        float(told.get(key, default)) for key, default in (("alpha", 0.2), ("beta", 0.5))
    )
    if abs(slope - 1 / 6) > 1e-6 or offset != 0.5:
        raise MeasurementError("LiteRT's files have a HardSigmoid of slope 1/6 only.")
    builder, given = writer.builder, node.output[0]
    floats = writer.needs_floats(node.input[0], given)
    reads = _reads(writer, node, floats=floats)
    six = Scale.of(6 / 255, -128)
    shape = writer.shape(given)
    moved = builder.tensor(shape, np.float32 if floats else np.int8, None if floats else six)
    numbers = []
    for number in (3.0, 1 / 6):
        scale = Scale.of(number / 127, 0)
        integer = np.full((), 127, np.int8)
        numbers.append(builder.number(number) if floats else builder.constant(integer, scale))
    relu6 = schema.ActivationFunctionType.RELU6
    builder.operator(
        "ADD", [reads, numbers[0]], [moved], kind="AddOptions", fusedActivationFunction=relu6
    )
    made = writer.add(given, floats=floats)
    builder.operator("MUL", [moved, numbers[1]], [made], kind="MulOptions")


def leaky_relu(writer: Writer, node: NodeProto) -> None:
    """A Relu with a slope below 0."""
    floats = writer.needs_floats(node.input[0], node.output[0])
    reads = _reads(writer, node, floats=floats)
    made = writer.add(node.output[0], floats=floats)
    slope = float(attributes(node).get("alpha", 0.01))
    writer.builder.operator("LEAKY_RELU", [reads], [made], kind="LeakyReluOptions", alpha=slope)


def prelu(writer: Writer, node: NodeProto) -> None:
    """A Relu with slopes below 0 that the file holds."""
    name, given = node.input[0], node.output[0]
    floats, images = writer.needs_floats(*node.input, given), given in writer.images
    reads = _reads(writer, node, floats=floats)
    slopes = writer.read(node.input[1], floats=floats, images=images, rank=writer.rank(name))
    writer.builder.operator("PRELU", [reads, slopes], [writer.add(given, floats=floats)])


def elu(writer: Writer, node: NodeProto) -> None:
    """An Elu, Celu or Selu: a x above 0 and b (exp(c x) - 1) below, on floats."""
    told, builder = attributes(node), writer.builder
    alpha = float(told.get("alpha", SELU_ALPHA if node.op_type == "Selu" else 1.0))
    gamma = float(told.get("gamma", SELU_GAMMA)) if node.op_type == "Selu" else 1.0
    inner = 1 / alpha if node.op_type == "Celu" else 1.0
    reads = _reads(writer, node, floats=True)
    shape = builder.shape(reads)
    made = writer.add(node.output[0], floats=True)
    if alpha == gamma == 1:
        builder.operator("ELU", [reads], [made])
        return
    below = builder.floats_of(
        "MINIMUM", [reads, builder.number(0.0)], shape, kind="MaximumMinimumOptions"
    )
    above = builder.floats_of("RELU", [reads], shape)
    if inner != 1:
        below = builder.floats_of("MUL", [below, builder.number(inner)], shape, kind="MulOptions")
    below = builder.floats_of("ELU", [below], shape)
    factors = [builder.number(each) for each in (gamma, gamma * alpha)]
    parts = [
        builder.floats_of("MUL", [part, factor], shape, kind="MulOptions")
        for part, factor in zip((above, below), factors, strict=True)
    ]
    builder.operator("ADD", parts, [made], kind="AddOptions")


def softplus(writer: Writer, node: NodeProto) -> None:
    """max(x, 0) + log(1 + exp(-|x|)), which overflows nowhere, on floats."""
    builder, reads = writer.builder, _reads(writer, node, floats=True)
    shape = builder.shape(reads)
    size = builder.floats_of("ABS", [reads], shape)
    small = builder.floats_of("EXP", [builder.floats_of("NEG", [size], shape)], shape)
    more = builder.floats_of("ADD", [small, builder.number(1.0)], shape, kind="AddOptions")
    parts = [
        builder.floats_of("RELU", [reads], shape),
        builder.floats_of("LOG", [more], shape),
    ]
    builder.operator("ADD", parts, [writer.add(node.output[0], floats=True)], kind="AddOptions")
