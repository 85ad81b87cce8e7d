"""Images of another size: resized, or by a transposed convolution."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from onnx import NodeProto

from objectives.errors import MeasurementError
from objectives.litert.activations import attributes
from objectives.litert.writer import Writer

HALVES = {b"half_pixel", b"pytorch_half_pixel"}
"""Of ONNX's ways to place pixels, those whose centers are at one half."""


def resize(writer: Writer, node: NodeProto) -> None:
    """An image resized, by the nearest pixel or between the nearest four."""
    told = attributes(node)
    name, given = node.input[0], node.output[0]
    mode = told.get("mode", b"nearest")
    placed = told.get("coordinate_transformation_mode", b"half_pixel")
    before, after = writer.plain.shapes[name], writer.plain.shapes[given]
    if len(before) != 4 or before[:2] != after[:2] or told.get("antialias"):
        raise MeasurementError("LiteRT's files have a Resize of height and width only.")
    whole = all(big % small == 0 for small, big in zip(before[2:], after[2:], strict=True))
    nearest = mode == b"nearest"
    rounds = told.get("nearest_mode", b"round_prefer_floor")
    fits = whole and (placed == b"asymmetric" and rounds == b"floor")
    if nearest and not fits:
        raise MeasurementError(
            "LiteRT's files have a Resize to the nearest pixel as torch's Upsample has it, by "
            "whole factors."
        )
    if not nearest and (mode != b"linear" or placed not in {*HALVES, b"align_corners"}):
        raise MeasurementError(f"LiteRT's files have no Resize of mode {mode.decode()}.")
    floats = not writer.on_integers
    scale = None if floats else writer.plain.scales[given]
    reads = writer.read(name, floats=floats, images=True, scale=scale)
    size = writer.builder.constant(np.array(after[2:], np.int32))
    made = writer.add(given, floats=floats)
    kind = "ResizeNearestNeighbor" if nearest else "ResizeBilinear"
    writer.builder.operator(
        "RESIZE_NEAREST_NEIGHBOR" if nearest else "RESIZE_BILINEAR",
        [reads, size],
        [made],
        kind=f"{kind}Options",
        alignCorners=placed == b"align_corners",
        halfPixelCenters=not nearest and placed in HALVES,
    )


def conv_transpose(writer: Writer, node: NodeProto) -> None:
    """A transposed convolution over images, on floats: what it gives, cut to its size."""
    told = attributes(node)
    name, given = node.input[0], node.output[0]
    weight = writer.constant(node.input[1])
    if weight is None or weight.values.ndim != 4:
        raise MeasurementError("LiteRT's files have transposed convolutions over images only.")
    if int(told.get("group", 1)) != 1 or any(each != 1 for each in told.get("dilations", [])):
        raise MeasurementError("LiteRT's files have no ConvTranspose in groups or with dilation.")
    strides, pads = list(told.get("strides", [1, 1])), list(told.get("pads", [0, 0, 0, 0]))
    (_, out, *kernel), sides = weight.values.shape, writer.plain.shapes[name][2:]
    full = [
        (side - 1) * stride + size
        for side, stride, size in zip(sides, strides, kernel, strict=True)
    ]
    kept = list(writer.plain.shapes[given][2:])
    if any(first + side > all_ for first, side, all_ in zip(pads[:2], kept, full, strict=True)):
        raise MeasurementError(
            "LiteRT's files have no ConvTranspose whose output_padding is more than its padding."
        )
    builder = writer.builder
    reads = writer.read(name, floats=True, images=True)
    filters = weight.values.transpose(1, 2, 3, 0)
    bias = writer.constant(node.input[2]) if len(node.input) > 2 else None
    offset = np.zeros(out, np.float32) if bias is None else bias.values.astype(np.float32)
    whole = builder.tensor((1, *full, out), np.float32)
    builder.operator(
        "TRANSPOSE_CONV",
        [
            builder.constant(np.array((1, *full, out), np.int32)),
            writer.held_floats(filters, weight),
            reads,
            builder.constant(offset),
        ],
        [whole],
        kind="TransposeConvOptions",
        padding=int(schema.Padding.VALID),
        strideH=strides[0],
        strideW=strides[1],
    )
    made = writer.add(given, floats=True)
    begin = builder.constant(np.array([0, *pads[:2], 0], np.int32))
    size = builder.constant(np.array([1, *kept, out], np.int32))
    builder.operator("SLICE", [whole, begin, size], [made], kind="SliceOptions")
