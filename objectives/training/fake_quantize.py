"""Quantize in the forward pass, so that training sees the numbers that the file will hold.

Notation: x a real number, s the scale, z the zero point, q the stored integer,

    q = clamp(round(x / s) + z, q_min, q_max),   x^ = (q - z) * s              (Eq. 1)

with round half to even, as ONNX's QuantizeLinear. Weights of b bits are symmetric (z = 0, q in
[-(2^(b-1) - 1), 2^(b-1) - 1]) or asymmetric (q in [-2^(b-1), 2^(b-1) - 1]), with one scale per
output channel or one for all; inputs are asymmetric uint8 with one scale. 0 is always exact.
Rounding passes gradients straight through; clamping passes them only inside the range.

Source: Jacob et al. 2018, arXiv:1712.05877, Eq. 1.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

INPUT_MAX = 255
"""Layer inputs are uint8 at any weight precision."""

LARGEST_BIAS = 2**30
"""A stored bias stays below this, half of what int32 holds, so that learned scales have room."""

SMALLEST_SCALE = 1e-18
"""A range with smaller steps counts as 0: their products would be, and a bias divided by them."""

RANGE_SHARES = tuple(1 - 0.04 * step for step in range(20))
"""Below 8 bits, the shares of a weight's range that are tried for the least squared error."""


@dataclass(frozen=True, slots=True)
class WeightGrid:
    """Which numbers a layer's weights may be."""

    bits: int
    symmetric: bool = True
    per_channel: bool = True

    @property
    def low(self) -> int:
        """The smallest stored integer: -127 for 8 bits, symmetric."""
        return -self.high - (0 if self.symmetric else 1)

    @property
    def high(self) -> int:
        """The largest stored integer: 127 for 8 bits."""
        return int(2 ** (self.bits - 1)) - 1


def fake_quantize(
    x: Tensor, scale: Tensor, zero_point: Tensor | None, low: int, high: int
) -> Tensor:
    """Return x quantized and dequantized (Eq. 1), differentiable in `x`.

    `scale` and `zero_point`, None for 0, broadcast over `x`.
    """
    function: Any = _FixedScale
    result: Tensor = function.apply(x, scale, zero_point, low, high)
    return result


def unclamped(
    x: Tensor, scale: Tensor, zero_point: Tensor | None, out: Tensor | None = None
) -> Tensor:
    """Return q of Eq. 1 before it is clamped; written to `out` if that is given."""
    stored = torch.div(x, scale, out=out).round_()
    return stored if zero_point is None else stored.add_(zero_point)


def dequantized_(stored: Tensor, scale: Tensor, zero_point: Tensor | None) -> Tensor:
    """Return, in place, x^ of Eq. 1 for q = `stored`."""
    return (stored if zero_point is None else stored.sub_(zero_point)).mul_(scale)


class _FixedScale(torch.autograd.Function):
    """Eq. 1 and its gradient in x: 1 inside the range and 0 outside, kept as numbers.

    Numbers multiply in an eighth of the time of bool.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's
        x: Tensor,
        scale: Tensor,
        zero_point: Tensor | None,
        low: int,
        high: int,
    ) -> Tensor:
        stored = unclamped(x, scale, zero_point)
        if not ctx.needs_input_grad[0]:
            return dequantized_(stored.clamp_(low, high), scale, zero_point)
        clamped = stored.clamp(low, high)
        ctx.save_for_backward(stored.eq_(clamped))
        return dequantized_(clamped, scale, zero_point)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - torch's
        (inside,) = ctx.saved_tensors
        return gradient * inside, None, None, None, None


def per_channel(scale: Tensor, weight: Tensor) -> Tensor:
    """Return `scale` (C_out,) shaped (C_out, 1, ...) to broadcast over `weight` (C_out, ...)."""
    return scale.view(-1, *[1] * (weight.dim() - 1))


def fit_grid(weight: Tensor, grid: WeightGrid) -> tuple[Tensor, Tensor]:
    """Return the scale (C_out,) and the zero point (C_out,) int8 that suit `weight`.

    At 8 bits the range is that of the weights; below, the share of it with the least squared
    error, as few steps are better spent on the many small weights. A channel of zeros, or next to
    that, gets the largest scale of the others, or 1 if there is none.
    """
    weight = weight.detach()
    rows = weight.flatten(1) if grid.per_channel else weight.reshape(1, -1)  # (C_out or 1, n)
    low, high = rows.amin(1).clamp(max=0), rows.amax(1).clamp(min=0)
    if grid.symmetric:
        high = high.maximum(-low)
        low = -high
    best = _scale_and_zero(low, high, grid)
    if grid.bits < 8:
        errors = _squared_error(rows, *best, grid)
        for share in RANGE_SHARES[1:]:
            candidate = _scale_and_zero(share * low, share * high, grid)
            error = _squared_error(rows, *candidate, grid)
            better = error < errors
            best = (
                torch.where(better, candidate[0], best[0]),
                torch.where(better, candidate[1], best[1]),
            )
            errors = error.minimum(errors)
    scale, zero_point = (values.expand(len(weight)).contiguous() for values in best)
    return scale, zero_point


def _scale_and_zero(low: Tensor, high: Tensor, grid: WeightGrid) -> tuple[Tensor, Tensor]:
    scale = (high - low) / (grid.high - grid.low)
    largest = scale.max()
    other = largest if largest >= SMALLEST_SCALE else torch.ones_like(largest)
    scale = torch.where(scale >= SMALLEST_SCALE, scale, other)
    if grid.symmetric:
        return scale, torch.zeros_like(scale, dtype=torch.int8)
    zero_point = (grid.low - low / scale).round().clamp(grid.low, grid.high)
    return scale, zero_point.to(torch.int8)


def _squared_error(rows: Tensor, scale: Tensor, zero_point: Tensor, grid: WeightGrid) -> Tensor:
    """Return the error of each row, (C_out,)."""
    quantized = fake_quantize(rows, scale[:, None], zero_point[:, None], grid.low, grid.high)
    return (quantized - rows).square_().sum(1)


def asymmetric_range(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return the uint8 scale () and zero point () for values in [low, high] and for 0."""
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = (high - low) / INPUT_MAX
    scale = torch.where(scale >= SMALLEST_SCALE, scale, torch.ones_like(scale))
    return scale, (-low / scale).round().clamp(0, INPUT_MAX).to(torch.uint8)
