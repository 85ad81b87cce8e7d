"""Dense layers and products."""

from onnx import NodeProto

from objectives.errors import MeasurementError
from objectives.litert.activations import fused
from objectives.litert.plain import Constant, attributes
from objectives.litert.weights import bias_tensor, has_integers, weight_tensor
from objectives.litert.writer import Writer


def gemm(writer: Writer, node: NodeProto) -> None:
    """A dense layer over rows."""
    told = attributes(node)
    name, weight = node.input[0], writer.constant(node.input[1])
    if weight is None or told.get("transA") or {told["alpha"], told["beta"]} != {1.0}:
        raise MeasurementError("LiteRT's files are written without such a Gemm yet.")
    bias = writer.constant(node.input[2]) if len(node.input) > 2 else None
    dense(writer, node, name, weight, bias, turned=not told.get("transB"))


def matmul(writer: Writer, node: NodeProto) -> None:
    """A product with a weight, which is a dense layer, or of two values."""
    name, other = node.input
    weight = writer.constant(other)
    if weight is not None and weight.values.ndim == 2:
        dense(writer, node, name, weight, None, turned=True)
        return
    reads = [writer.read(each, floats=True, images=False) for each in (name, other)]
    made = writer.add(node.output[0], floats=True)
    writer.builder.operator("BATCH_MATMUL", reads, [made], kind="BatchMatMulOptions")


def dense(
    writer: Writer,
    node: NodeProto,
    name: str,
    weight: Constant,
    bias: Constant | None,
    *,
    turned: bool,
) -> None:
    """A dense layer; `turned` says whether the weight is (in, out)."""
    integers = has_integers(writer, weight)
    numbers = weight.integers if integers else weight.values
    assert numbers is not None
    rows = numbers.T if turned else numbers
    flat = writer.flattened.get(writer.renamed.get(name, name))
    if flat is not None:  # its input has channels last
        rows = rows.reshape(-1, *flat).transpose(0, 2, 3, 1).reshape(len(rows), -1)
    many = weight.scale is not None and not weight.scale.is_one
    if integers and many and weight.scale.axis != (1 if turned else 0):  # type: ignore[union-attr]
        raise MeasurementError("LiteRT's dense layers have one scale for each output.")
    held, scale = weight_tensor(writer, weight, rows, 0, integers=integers)
    own = writer.scale(name) if integers else None
    offset = bias_tensor(writer, bias, len(rows), own, scale)
    activation, given = fused(writer, node.output[0])
    reads = writer.read(name, floats=not integers, images=False)
    writer.alias(node.output[0], given)
    made = writer.add(given, floats=not integers)
    writer.builder.operator(
        "FULLY_CONNECTED",
        [reads, held, offset],
        [made],
        kind="FullyConnectedOptions",
        fusedActivationFunction=activation,
        keepNumDims=len(writer.plain.shapes[name]) > 2,
    )
