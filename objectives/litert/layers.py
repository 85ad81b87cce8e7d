"""Layers: convolutions, dense layers, products."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from onnx import NodeProto

from objectives.errors import MeasurementError
from objectives.litert.activations import attributes, fused, padded, padding_of
from objectives.litert.plain import Constant, Scale
from objectives.litert.writer import Writer


def has_integers(writer: Writer, weight: Constant | None) -> bool:
    """Return whether a layer with this weight computes on int8.

    Raises:
        MeasurementError: Its integers have a zero point, or more bits.
    """
    if not writer.on_integers or weight is None or weight.integers is None:
        return False
    assert weight.scale is not None
    if weight.scale.zero_point.any():
        raise MeasurementError(
            "LiteRT's int8 weights have no zero point: quantize them symmetrically."
        )
    return weight.fits_int8


def weight_tensor(
    writer: Writer, weight: Constant, values: np.ndarray, axis: int, *, integers: bool
) -> tuple[int, Scale | None]:
    """Return the tensor of a layer's weight, and its scale where that is int8.

    Args:
        writer: Of the file.
        weight: As our file has it.
        values: Its numbers, or where it has them its integers, in LiteRT's order.
        axis: Of the channels that are given.
        integers: Whether it is int8.
    """
    if not integers:
        return writer.held_floats(values, weight), None
    assert weight.scale is not None
    scale = Scale(weight.scale.scale, weight.scale.zero_point, axis)
    return writer.builder.constant(values.astype(np.int8), scale), scale


def bias_tensor(
    writer: Writer, bias: Constant | None, count: int, given: Scale | None, weight: Scale | None
) -> int:
    """Return the tensor of a bias, zeros if there is none; int32 where the layer is int8."""
    values = np.zeros(count, np.float32) if bias is None else bias.values.reshape(-1)
    if given is None or weight is None:
        return writer.held_floats(values, bias)
    scale = np.broadcast_to(given.scale * weight.scale, (count,)).astype(np.float64)
    limits = np.iinfo(np.int32)
    integers = np.clip(np.rint(values / scale), limits.min, limits.max).astype(np.int32)
    own = given.scale * np.atleast_1d(weight.scale)
    return writer.builder.constant(
        integers, Scale(own.astype(np.float32), np.zeros(own.shape, np.int64))
    )


def conv(writer: Writer, node: NodeProto) -> None:
    """A convolution over images, in groups of one channel or in one group."""
    told = attributes(node)
    name, weight = node.input[0], writer.constant(node.input[1])
    if weight is None or weight.values.ndim != 4:
        raise MeasurementError("LiteRT's files have convolutions over images only.")
    integers = has_integers(writer, weight)
    numbers = weight.integers if integers else weight.values
    assert numbers is not None
    (out, per_group, *kernel), channels = numbers.shape, writer.plain.shapes[name][1]
    groups = int(told.get("group", 1))
    strides, dilations = list(told["strides"]), list(told["dilations"])
    activation, given = fused(writer, node.output[0])
    reads = writer.read(name, floats=not integers, images=True)
    wide = tuple(
        dilation * (size - 1) + 1 for size, dilation in zip(kernel, dilations, strict=True)
    )
    sides = writer.plain.shapes[name][2:]
    pads = list(told["pads"])
    padding = padding_of(pads, sides, wide, strides)
    if padding is None:
        reads = padded(writer, reads, writer.shape(name, images=True), pads, name)
        padding = int(schema.Padding.VALID)
    shared = {
        "padding": padding,
        "strideH": strides[0],
        "strideW": strides[1],
        "dilationHFactor": dilations[0],
        "dilationWFactor": dilations[1],
        "fusedActivationFunction": activation,
    }
    if groups == channels and per_group == 1 and groups > 1:
        filters = numbers.transpose(1, 2, 3, 0)  # (1, H, W, C times multiplier)
        held, scale = weight_tensor(writer, weight, filters, 3, integers=integers)
        kind = {"kind": "DepthwiseConv2DOptions", "depthMultiplier": out // channels}
        operator = "DEPTHWISE_CONV_2D"
    else:
        filters = numbers.transpose(0, 2, 3, 1)
        held, scale = weight_tensor(writer, weight, filters, 0, integers=integers)
        kind, operator = {"kind": "Conv2DOptions"}, "CONV_2D"
    bias = writer.constant(node.input[2]) if len(node.input) > 2 else None
    own = writer.plain.scales.get(name) if integers else None
    offset = bias_tensor(writer, bias, out, own, scale)
    _give(writer, node.output[0], given)
    made = writer.add(given, floats=not integers)
    writer.builder.operator(operator, [reads, held, offset], [made], **shared, **kind)


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
    own = writer.plain.scales.get(writer.renamed.get(name, name)) if integers else None
    offset = bias_tensor(writer, bias, len(rows), own, scale)
    activation, given = fused(writer, node.output[0])
    reads = writer.read(name, floats=not integers, images=False)
    _give(writer, node.output[0], given)
    made = writer.add(given, floats=not integers)
    writer.builder.operator(
        "FULLY_CONNECTED",
        [reads, held, offset],
        [made],
        kind="FullyConnectedOptions",
        fusedActivationFunction=activation,
        keepNumDims=len(writer.plain.shapes[name]) > 2,
    )


def _give(writer: Writer, name: str, given: str) -> None:
    """Remember that the operator gives what an activation behind it would."""
    if given != name:
        writer.alias(name, given)
