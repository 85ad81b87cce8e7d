"""Convolutions over images and rows, and their like that give larger images."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from onnx import NodeProto

from objectives.errors import MeasurementError
from objectives.litert.activations import fused
from objectives.litert.patches import (
    finish_image,
    give_image,
    padded,
    patches_of,
    read_image,
)
from objectives.litert.plain import Constant, attributes
from objectives.litert.weights import bias_tensor, has_integers, weight_tensor
from objectives.litert.writer import Writer

OF_GROUPS = 6
"""The first version of CONV_2D that has them."""


def _weight(writer: Writer, node: NodeProto) -> Constant:
    weight = writer.constant(node.input[1])
    if weight is None:
        raise MeasurementError(
            f"LiteRT's files have a {node.op_type} with a weight that the file holds only."
        )
    return weight


def _as_images(numbers: np.ndarray) -> np.ndarray:
    """Return filters of rows as those of images of height 1."""
    return numbers[:, :, None] if numbers.ndim == 3 else numbers


def conv(writer: Writer, node: NodeProto) -> None:
    """A convolution, in groups of one channel, in one group or in several."""
    told, name, weight = attributes(node), node.input[0], _weight(writer, node)
    patches = patches_of(writer, node, weight.values.shape[2:])
    integers = has_integers(writer, weight)
    numbers = weight.integers if integers else weight.values
    assert numbers is not None
    numbers = _as_images(numbers)
    (out, per_group), channels = numbers.shape[:2], writer.plain.shapes[name][1]
    activation, given = fused(writer, node.output[0])
    reads = read_image(writer, node, floats=not integers)
    padding = patches.padding(patches.pads)
    if padding is None:
        reads = padded(writer, reads, patches.pads)
        padding = int(schema.Padding.VALID)
    shared = {
        "padding": padding,
        **patches.steps,
        "dilationHFactor": patches.dilations[0],
        "dilationWFactor": patches.dilations[1],
        "fusedActivationFunction": activation,
    }
    if int(told.get("group", 1)) == channels and per_group == 1 and channels > 1:
        filters = numbers.transpose(1, 2, 3, 0)  # (1, H, W, C times multiplier)
        held, scale = weight_tensor(writer, weight, filters, 3, integers=integers)
        kind = {"kind": "DepthwiseConv2DOptions", "depthMultiplier": out // channels}
        operator = "DEPTHWISE_CONV_2D"
    else:  # how many groups there are follows from the channels of a filter
        filters = numbers.transpose(0, 2, 3, 1)
        held, scale = weight_tensor(writer, weight, filters, 0, integers=integers)
        kind, operator = {"kind": "Conv2DOptions"}, "CONV_2D"
        if per_group != channels:
            kind["version"] = OF_GROUPS
    bias = writer.constant(node.input[2]) if len(node.input) > 2 else None
    own = writer.scale(name) if integers else None
    offset = bias_tensor(writer, bias, out, own, scale)
    writer.alias(node.output[0], given)
    written, made = give_image(writer, given, floats=not integers)
    writer.builder.operator(operator, [reads, held, offset], [written], **shared, **kind)
    finish_image(writer, written, made)


def conv_transpose(writer: Writer, node: NodeProto) -> None:
    """A transposed convolution: all that its patches give, then what the pads leave of it."""
    told, name, weight = attributes(node), node.input[0], _weight(writer, node)
    patches = patches_of(writer, node, weight.values.shape[2:])
    if int(told.get("group", 1)) != 1 or patches.dilations != (1, 1):
        raise MeasurementError(
            "LiteRT's files have a ConvTranspose of one group, without dilation only."
        )
    if told.get("output_shape"):
        raise MeasurementError("LiteRT's files have a ConvTranspose with pads in numbers only.")
    integers = has_integers(writer, weight) and (
        weight.scale is not None and (weight.scale.is_one or weight.scale.axis == 1)
    )
    numbers = weight.integers if integers else weight.values
    assert numbers is not None
    numbers = _as_images(numbers).transpose(1, 2, 3, 0)  # (C_out, H, W, C_in)
    reads = read_image(writer, node, floats=not integers)
    held, scale = weight_tensor(writer, weight, numbers, 0, integers=integers, takes_int4=False)
    own = writer.scale(name) if integers else None
    bias = writer.constant(node.input[2]) if len(node.input) > 2 else None
    offset = bias_tensor(writer, bias, len(numbers), own, scale)
    written, made = give_image(writer, node.output[0], floats=not integers)
    batch, *sides, channels = writer.builder.shape(written)
    begins = patches.pads[:2]
    whole = [
        max((count - 1) * stride + size, begin + side)
        for count, stride, size, begin, side in zip(
            patches.sides, patches.strides, patches.kernel, begins, sides, strict=True
        )
    ]
    reached = [
        (size - wide) // stride + 1
        for size, wide, stride in zip(whole, patches.kernel, patches.strides, strict=True)
    ]
    if reached != list(patches.sides):
        raise MeasurementError(
            "LiteRT's files have a ConvTranspose whose output padding is below its stride only."
        )
    shape = (batch, *whole, channels)
    is_whole = whole == sides
    full = written if is_whole else writer.builder.like(written, shape)
    wanted = writer.builder.constant(np.array(shape, np.int32))
    writer.builder.operator(
        "TRANSPOSE_CONV",
        [wanted, held, reads, offset],
        [full],
        kind="TransposeConvOptions",
        padding=int(schema.Padding.VALID),
        **patches.steps,
    )
    if not is_whole:
        limits = [(0, *begins, 0), (batch, *sides, channels)]
        held_limits = [writer.builder.constant(np.array(each, np.int32)) for each in limits]
        writer.builder.operator("SLICE", [full, *held_limits], [written], kind="SliceOptions")
    finish_image(writer, written, made)
