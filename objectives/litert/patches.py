"""Patches: what a convolution or pooling reads at once, and the borders that it reads beyond.

Rows (N, C, L) are images of height 1 to LiteRT.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from onnx import NodeProto

from objectives.errors import MeasurementError
from objectives.litert.plain import attributes
from objectives.litert.writer import Writer

LOWEST = float(np.finfo(np.float32).min)


@dataclass(frozen=True, slots=True)
class Patches:
    """Where the patches of a node lie; all pairs are height and width."""

    sides: tuple[int, int]
    """Of what is read."""
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    """Top, left, bottom, right, as the node says."""

    @property
    def wide(self) -> tuple[int, int]:
        """How many rows and columns a patch reaches over."""
        high, broad = (
            dilation * (size - 1) + 1
            for size, dilation in zip(self.kernel, self.dilations, strict=True)
        )
        return high, broad

    def reaching(self, given: Sequence[int]) -> tuple[int, int, int, int]:
        """Return the pads with which there are so many patches, where they were rounded up."""
        more = [
            max((count - 1) * stride + wide - (side + before + after), 0)
            for count, stride, wide, side, before, after in zip(
                given, self.strides, self.wide, self.sides, self.pads[:2], self.pads[2:],
                strict=True,
            )
        ]  # fmt: skip
        top, left, bottom, right = self.pads
        return top, left, bottom + more[0], right + more[1]

    def padding(self, pads: tuple[int, int, int, int]) -> int | None:
        """Return LiteRT's padding that is `pads`; None if none is."""
        if not any(pads):
            return int(schema.Padding.VALID)
        total = [
            max((-(-side // stride) - 1) * stride + size - side, 0)
            for side, size, stride in zip(self.sides, self.wide, self.strides, strict=True)
        ]
        same = [each // 2 for each in total] + [each - each // 2 for each in total]
        return int(schema.Padding.SAME) if list(pads) == same else None

    @property
    def steps(self) -> dict[str, int]:
        """The strides, as the options of operators call them."""
        return {"strideH": self.strides[0], "strideW": self.strides[1]}


def patches_of(writer: Writer, node: NodeProto, kernel: tuple[int, ...]) -> Patches:
    """Return the patches of a node; `kernel` has one side for rows, two for images.

    Raises:
        MeasurementError: It is over more axes, or pads by a rule.
    """
    told, axes = attributes(node), len(kernel)
    if axes not in {1, 2}:
        raise MeasurementError(f"LiteRT's files have a {node.op_type} over images and rows only.")
    if told.get("auto_pad", b"NOTSET") not in {b"NOTSET", b""}:
        raise MeasurementError(f"LiteRT's files have a {node.op_type} with pads in numbers only.")
    sides = writer.plain.shapes[node.input[0]][2:]
    strides, dilations = (told.get(name, [1] * axes) for name in ("strides", "dilations"))
    pads: list[int] = list(told.get("pads", [0] * 2 * axes))
    first = [0] * (2 - axes)  # in front of rows

    def pair(values: Sequence[int]) -> tuple[int, int]:
        return (1, values[0]) if axes == 1 else (values[0], values[1])

    top, left, bottom, right = (*first, *pads[:axes], *first, *pads[axes:])
    around = (top, left, bottom, right)
    return Patches(pair(sides), pair(kernel), pair(strides), pair(dilations), around)


def read_image(writer: Writer, node: NodeProto, *, floats: bool, own_scale: bool = True) -> int:
    """Return the tensor (N, H, W, C) of what a node reads.

    Args:
        writer: Of the file.
        node: A convolution or pooling.
        floats: Whether as floats.
        own_scale: Whether in the scale that it was computed in; else in that of what is given.
    """
    name = node.input[0]
    scale = None if own_scale or floats else writer.scale(node.output[0])
    number = writer.read(name, floats=floats, images=True, scale=scale)
    shape = writer.builder.shape(number)
    return number if len(shape) == 4 else writer.builder.reshape(number, (shape[0], 1, *shape[1:]))


def give_image(writer: Writer, name: str, *, floats: bool) -> tuple[int, int]:
    """Add the tensor of what a node gives; return the one (N, H, W, C) to write, and it."""
    made = writer.add(name, floats=floats, images=True)
    shape = writer.builder.shape(made)
    if len(shape) == 4:
        return made, made
    return writer.builder.like(made, (shape[0], 1, *shape[1:])), made


def finish_image(writer: Writer, written: int, made: int) -> None:
    """Write rows from what was computed as an image."""
    if written != made:
        writer.builder.reshape(written, writer.builder.shape(made), made)


def padded(writer: Writer, number: int, pads: tuple[int, ...], *, lowest: bool = False) -> int:
    """Return an image with zeros around it, or with numbers that no maximum is."""
    sides = np.array([[0, 0], [pads[0], pads[2]], [pads[1], pads[3]], [0, 0]], dtype=np.int32)
    shape = writer.builder.shape(number)
    wide = [side + int(more.sum()) for side, more in zip(shape, sides, strict=True)]
    made = writer.builder.like(number, wide)
    inputs = [number, writer.builder.constant(sides)]
    if lowest:
        floats = writer.builder.is_float(number)
        filled = np.array([LOWEST], np.float32) if floats else np.array([-128], np.int8)
        border = writer.builder.take_scale(writer.builder.constant(filled), number)
        writer.builder.operator("PADV2", [*inputs, border], [made], kind="PadV2Options")
    else:
        writer.builder.operator("PAD", inputs, [made], kind="PadOptions")
    return made
