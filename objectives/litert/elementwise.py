"""What works number by number, and norms."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from onnx import NodeProto

from objectives.errors import MeasurementError
from objectives.litert.activations import activation_of, attributes, fused, require_last
from objectives.litert.plain import Scale
from objectives.litert.writer import Writer

BINARY = {"Add": "ADD", "Sub": "SUB", "Mul": "MUL", "Div": "DIV"}
UNARY = {
    "Sigmoid": "LOGISTIC",
    "Tanh": "TANH",
    "HardSwish": "HARD_SWISH",
    "Gelu": "GELU",
    "Sqrt": "SQRT",
    "Exp": "EXP",
    "Neg": "NEG",
}
ON_INTEGERS = {"LOGISTIC", "TANH", "HARD_SWISH"}


def binary(writer: Writer, node: NodeProto) -> None:
    """A sum, difference, product or quotient; a constant broadcasts as in ONNX."""
    floats = node.op_type == "Div" or not writer.on_integers
    activation, given = fused(writer, node.output[0])
    images = node.output[0] in writer.images
    reads = [writer.read(name, floats=floats, images=images) for name in node.input]
    if given != node.output[0]:
        writer.alias(node.output[0], given)
    made = writer.add(given, floats=floats)
    operator = BINARY[node.op_type]
    writer.builder.operator(
        operator,
        reads,
        [made],
        kind=f"{operator.capitalize()}Options",
        fusedActivationFunction=activation,
    )


def unary(writer: Writer, node: NodeProto) -> None:
    """One of `UNARY`."""
    operator = UNARY[node.op_type]
    floats = operator not in ON_INTEGERS or not writer.on_integers
    reads = writer.read(node.input[0], floats=floats, images=node.output[0] in writer.images)
    made = writer.add(node.output[0], floats=floats)
    options: dict[str, object] = {}
    if operator == "GELU":
        options = {
            "kind": "GeluOptions",
            "approximate": attributes(node).get("approximate") == b"tanh",
        }
    if operator == "HARD_SWISH":
        options = {"kind": "HardSwishOptions"}
    writer.builder.operator(operator, [reads], [made], **options)


def cut(writer: Writer, node: NodeProto) -> None:
    """A Relu or Clip that no operator computes as a part of it."""
    if node.output[0] in writer.renamed.values():  # it was
        return
    found = activation_of(writer, node)
    if found is None:
        raise MeasurementError("LiteRT's files have a Clip from 0, or from 0 to 6, only.")
    name = "RELU" if found == schema.ActivationFunctionType.RELU else "RELU6"
    floats = not writer.on_integers
    reads = writer.read(node.input[0], floats=floats, images=node.output[0] in writer.images)
    writer.builder.operator(name, [reads], [writer.add(node.output[0], floats=floats)])


def hard_sigmoid(writer: Writer, node: NodeProto) -> None:
    """min(max(x + 3, 0), 6) / 6."""
    told = attributes(node)
    slope, offset = (
        float(told.get(key, default)) for key, default in (("alpha", 0.2), ("beta", 0.5))
    )
    if abs(slope - 1 / 6) > 1e-6 or offset != 0.5:
        raise MeasurementError("LiteRT's files have a HardSigmoid of slope 1/6 only.")
    builder, floats = writer.builder, not writer.on_integers
    name, images = node.input[0], node.output[0] in writer.images
    shape = writer.shape(node.output[0])
    reads = writer.read(name, floats=floats, images=images)
    six = Scale.of(6 / 255, -128)
    moved = builder.tensor(shape, np.float32 if floats else np.int8, None if floats else six)
    numbers = []
    for number in (3.0, 1 / 6):
        scale = Scale.of(number / 127, 0)
        held = np.full((), number, np.float32)
        integer = np.full((), 127, np.int8)
        numbers.append(builder.constant(held) if floats else builder.constant(integer, scale))
    relu6 = schema.ActivationFunctionType.RELU6
    builder.operator(
        "ADD", [reads, numbers[0]], [moved], kind="AddOptions", fusedActivationFunction=relu6
    )
    made = writer.add(node.output[0], floats=floats)
    builder.operator("MUL", [moved, numbers[1]], [made], kind="MulOptions")


def leaky_relu(writer: Writer, node: NodeProto) -> None:
    """A Relu with a slope below 0."""
    floats = not writer.on_integers
    reads = writer.read(node.input[0], floats=floats, images=node.output[0] in writer.images)
    made = writer.add(node.output[0], floats=floats)
    slope = float(attributes(node).get("alpha", 0.01))
    writer.builder.operator("LEAKY_RELU", [reads], [made], kind="LeakyReluOptions", alpha=slope)


def softmax(writer: Writer, node: NodeProto) -> None:
    """A softmax over the last axis."""
    require_last(node, writer.plain.shapes[node.input[0]])
    floats = not writer.on_integers
    reads = writer.read(node.input[0], floats=floats, images=False)
    made = writer.add(node.output[0], floats=floats)
    writer.builder.operator("SOFTMAX", [reads], [made], kind="SoftmaxOptions", beta=1.0)


def batch_norm(writer: Writer, node: NodeProto) -> None:
    """A norm that is no part of a layer: a product and a sum, on floats."""
    gain, offset, mean, variance = (
        writer.plain.constants[name].values for name in node.input[1:5]
    )
    factor = gain / np.sqrt(variance + float(attributes(node).get("epsilon", 1e-5)))
    images, builder = node.output[0] in writer.images, writer.builder
    axes = len(writer.plain.shapes[node.input[0]])
    shape = (1, -1) if images or axes == 2 else (1, -1, *[1] * (axes - 2))
    reads = writer.read(node.input[0], floats=True, images=images)
    scaled = builder.tensor(writer.shape(node.output[0]), np.float32)
    activation, given = fused(writer, node.output[0])
    numbers = [factor, offset - mean * factor]
    held = [
        builder.constant(each.astype(np.float32).reshape(-1 if images else shape))
        for each in numbers
    ]
    builder.operator("MUL", [reads, held[0]], [scaled], kind="MulOptions")
    if given != node.output[0]:
        writer.alias(node.output[0], given)
    made = writer.add(given, floats=True)
    builder.operator(
        "ADD", [scaled, held[1]], [made], kind="AddOptions", fusedActivationFunction=activation
    )


def layer_norm(writer: Writer, node: NodeProto) -> None:
    """A norm over the last axis, on floats."""
    told = attributes(node)
    require_last(node, writer.plain.shapes[node.input[0]])
    builder, name = writer.builder, node.input[0]
    shape = writer.plain.shapes[name]
    one = (*shape[:-1], 1)
    reads = writer.read(name, floats=True, images=False)
    axes = builder.constant(np.array([len(shape) - 1], np.int32))

    def made(operator: str, given: list[int], sides: tuple[int, ...], **options: object) -> int:
        number = builder.tensor(sides, np.float32)
        builder.operator(operator, given, [number], **options)
        return number

    mean = made("MEAN", [reads, axes], one, kind="ReducerOptions", keepDims=True)
    moved = made("SUB", [reads, mean], shape, kind="SubOptions")
    square = made("MUL", [moved, moved], shape, kind="MulOptions")
    variance = made("MEAN", [square, axes], one, kind="ReducerOptions", keepDims=True)
    epsilon = builder.constant(np.full((), told.get("epsilon", 1e-5), np.float32))
    spread = made("RSQRT", [made("ADD", [variance, epsilon], one, kind="AddOptions")], one)
    scaled = made("MUL", [moved, spread], shape, kind="MulOptions")
    gain = builder.constant(writer.plain.constants[node.input[1]].values)
    if len(node.input) > 2 and node.input[2]:
        offset = builder.constant(writer.plain.constants[node.input[2]].values)
        weighed = made("MUL", [scaled, gain], shape, kind="MulOptions")
        last = writer.add(node.output[0], floats=True)
        builder.operator("ADD", [weighed, offset], [last], kind="AddOptions")
    else:
        last = writer.add(node.output[0], floats=True)
        builder.operator("MUL", [scaled, gain], [last], kind="MulOptions")
