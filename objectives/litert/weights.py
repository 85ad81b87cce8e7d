"""Weights and biases of layers, as LiteRT wants them."""

import numpy as np

from objectives.errors import MeasurementError
from objectives.litert.plain import Constant, Scale
from objectives.litert.writer import Writer

LARGEST_INT4 = 7


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
    writer: Writer,
    weight: Constant,
    values: np.ndarray,
    axis: int,
    *,
    integers: bool,
    takes_int4: bool = True,
) -> tuple[int, Scale | None]:
    """Return the tensor of a layer's weight, and its scale where that is int8.

    Args:
        writer: Of the file.
        weight: As our file has it.
        values: Its numbers, or where it has them its integers, in LiteRT's order.
        axis: Of the channels that are given.
        integers: Whether it is int8; else it is float16 where our file has that.
        takes_int4: Whether the layer reads weights of four bits.
    """
    if not integers:
        return writer.builder.floats(values, is_half=weight.is_half), None
    assert weight.scale is not None
    scale = Scale(weight.scale.scale, weight.scale.zero_point, axis)
    is_small = bool(np.abs(values).max(initial=0) <= LARGEST_INT4)
    if takes_int4 and writer.small_integers and is_small:
        return writer.builder.int4(values, scale), scale
    return writer.builder.constant(values.astype(np.int8), scale), scale


def bias_tensor(
    writer: Writer, bias: Constant | None, count: int, given: Scale | None, weight: Scale | None
) -> int:
    """Return the tensor of a bias, zeros if there is none; int32 where the layer is int8."""
    values = np.zeros(count, np.float32) if bias is None else bias.values.reshape(-1)
    if given is None or weight is None:
        is_half = bias is not None and bias.is_half
        return writer.builder.floats(values, is_half=is_half)
    scale = np.broadcast_to(given.scale * weight.scale, (count,)).astype(np.float64)
    limits = np.iinfo(np.int32)
    integers = np.clip(np.rint(values / scale), limits.min, limits.max).astype(np.int32)
    own = given.scale * np.atleast_1d(weight.scale)
    return writer.builder.constant(
        integers, Scale(own.astype(np.float32), np.zeros(own.shape, np.int64))
    )
