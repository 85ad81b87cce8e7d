"""Quantize in the forward pass, so that training sees the numbers that the file will hold.

Notation: x a real number, s the scale, z the zero point, q the stored integer,

    q = clamp(round(x / s) + z, q_min, q_max),   x^ = (q - z) * s              (Eq. 1)

with round half to even, as ONNX's QuantizeLinear. Weights of b bits are symmetric (z = 0, q in
[-(2^(b-1) - 1), 2^(b-1) - 1]) or asymmetric (q in [-2^(b-1), 2^(b-1) - 1]), with one scale per
output channel or one for all; inputs are asymmetric uint8 with one scale. 0 is always exact.
Rounding passes gradients straight through; clamping passes them only inside the range.

Source: Jacob et al. 2018, arXiv:1712.05877, Eq. 1; scales learned as in Esser et al. 2020,
arXiv:1902.08153, but through their logarithm, so that Adam's step is relative to the scale.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from objectives.state import LayerFormat

INPUT_MAX = 255
"""Layer inputs are uint8 at any weight precision."""

LARGEST_BIAS = 2**30
"""A stored bias stays below this, half of what int32 holds, so that learned scales have room."""

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


def fake_quantize(x: Tensor, scale: Tensor, zero_point: Tensor, low: int, high: int) -> Tensor:
    """Return x quantized and dequantized (Eq. 1), differentiable in `x` and `scale`.

    `scale` and `zero_point` broadcast over `x`.
    """
    result: Tensor = _FakeQuantize.apply(  # type: ignore[no-untyped-call] # torch's
        x, scale, zero_point, low, high
    )
    return result


class _FakeQuantize(torch.autograd.Function):
    """Eq. 1 in place and with a backward pass by hand, which keeps nothing but x.

    Left to autograd, a step of AlexNet's QAT took 66 s an epoch and five copies of each weight.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's
        x: Tensor,
        scale: Tensor,
        zero_point: Tensor,
        low: int,
        high: int,
    ) -> Tensor:
        ctx.save_for_backward(x, scale, zero_point)
        ctx.range = low, high
        stored = (x / scale).round_().add_(zero_point).clamp_(low, high)
        return stored.sub_(zero_point).mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - torch's
        x, scale, zero_point = ctx.saved_tensors
        low, high = ctx.range
        scaled = x / scale
        inside = scaled.round().add_(zero_point)
        clamped = inside.clamp(low, high)
        inside.eq_(clamped)  # 1.0 or 0.0: numbers multiply in an eighth of the time of bool
        of_scale = None
        if ctx.needs_input_grad[1]:  # d x^ / d s = q - z - (x / s inside the range)
            slope = clamped.sub_(zero_point).sub_(scaled.mul_(inside))
            of_scale = slope.mul_(gradient).sum_to_size(scale.shape)
            del slope
        del scaled, clamped  # 150 MB each for AlexNet's largest layer
        return inside.mul_(gradient), of_scale, None, None, None


def per_channel(scale: Tensor, weight: Tensor) -> Tensor:
    """Return `scale` (C_out,) shaped (C_out, 1, ...) to broadcast over `weight` (C_out, ...)."""
    return scale.view(-1, *[1] * (weight.dim() - 1))


def fit_grid(weight: Tensor, grid: WeightGrid) -> tuple[Tensor, Tensor]:
    """Return the scale (C_out,) and the zero point (C_out,) int8 that suit `weight`.

    At 8 bits the range is that of the weights; below, the share of it with the least squared
    error, as few steps are better spent on the many small weights. A channel of zeros gets the
    largest scale of the others, or 1 if there is none.
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
    scale = torch.where(scale > 0, scale, largest if largest > 0 else torch.ones_like(largest))
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
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return scale, (-low / scale).round().clamp(0, INPUT_MAX).to(torch.uint8)


class WeightFakeQuantizer(nn.Module):
    """A parametrization of `weight`: Eq. 1 with a scale that is learned, or stays."""

    def __init__(
        self, scale: Tensor, zero_point: Tensor, grid: WeightGrid, *, learn_scale: bool
    ) -> None:
        super().__init__()
        self._grid = grid
        self.register_buffer("_initial_scale", scale)
        self.register_buffer("_zero_point", zero_point)
        gains = torch.zeros(len(scale) if grid.per_channel else 1)
        self._log_gain = nn.Parameter(gains, requires_grad=learn_scale)
        self._initial_scale: Tensor
        self._zero_point: Tensor

    def scale(self) -> Tensor:
        """Return the step size per output channel, (C_out,)."""
        return self._initial_scale * self._log_gain.exp()

    def forward(self, weight: Tensor) -> Tensor:
        """Return the fake-quantized weight, shaped like `weight` (C_out, ...)."""
        scale = per_channel(self.scale(), weight)
        zero_point = per_channel(self._zero_point, weight)
        return fake_quantize(weight, scale, zero_point, self._grid.low, self._grid.high)


class InputFakeQuantizer(nn.Module):
    """A forward pre-hook: Eq. 1 on the layer's input with a fixed scale and zero point."""

    def __init__(self, scale: Tensor, zero_point: Tensor, limits: tuple[int, int]) -> None:
        super().__init__()
        self._limits = limits
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("zero_point", zero_point, persistent=False)
        self.scale: Tensor
        self.zero_point: Tensor

    def forward(self, layer: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Return the fake-quantized input."""
        return (fake_quantize(args[0], self.scale, self.zero_point, *self._limits),)


def attach_inputs_(layers: dict[str, nn.Module], formats: dict[str, LayerFormat]) -> None:
    """Make `layers` compute, in place, with the inputs that the integer `formats` store."""
    for name, stored in formats.items():
        if stored.input_scale is not None and stored.input_zero_point is not None:
            layer = layers[name]
            layer.input_quantizer = InputFakeQuantizer(
                stored.input_scale, stored.input_zero_point, stored.input_limits
            )
            layer.register_forward_pre_hook(layer.input_quantizer)


def attach_weight_(
    layer: nn.Module, stored: LayerFormat, grid: WeightGrid, *, learn_scale: bool = True
) -> None:
    """Make `layer` compute, in place, with a weight on the `grid` that `stored` begins with."""
    assert stored.weight_scale is not None
    assert stored.weight_zero_point is not None
    quantizer = WeightFakeQuantizer(
        stored.weight_scale, stored.weight_zero_point, grid, learn_scale=learn_scale
    )
    parametrize.register_parametrization(layer, "weight", quantizer)


def bias_of(layer: nn.Module) -> Tensor | None:
    """Return the bias of `layer`, not a copy, if it has one."""
    bias = getattr(layer, "bias", None)
    return bias if isinstance(bias, Tensor) else None


def latent_weights(layers: dict[str, nn.Module]) -> dict[str, Tensor]:
    """Return the float weights (not copies), where fake-quantized those behind, by layer."""
    return {
        name: layer.get_parameter(
            "parametrizations.weight.original" if parametrize.is_parametrized(layer) else "weight"
        )
        for name, layer in layers.items()
    }


def detach_weights_(
    layers: dict[str, nn.Module], formats: dict[str, LayerFormat]
) -> dict[str, LayerFormat]:
    """Put weights and biases on their grids, in place; return the formats with final scales."""
    final = {}
    for name, stored in formats.items():
        layer = layers[name]
        quantizer = layer.get_submodule("parametrizations.weight.0")
        assert isinstance(quantizer, WeightFakeQuantizer)
        scale = quantizer.scale().detach()
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
        final[name] = replace(stored, weight_scale=scale.cpu())
        bias = bias_of(layer)
        if bias is not None and stored.input_scale is not None:
            bias_scale = scale * stored.input_scale.to(scale.device)
            bias.data.copy_((bias.detach() / bias_scale).round() * bias_scale)
    return final
