"""Quantize in the forward pass, so that training sees the numbers that the file will hold.

Notation: x a real number, s the scale, z the zero point, q the stored integer,

    q = clamp(round(x / s) + z, q_min, q_max),   x^ = (q - z) * s              (Eq. 1)

with round half to even, as ONNX's QuantizeLinear. Weights are symmetric (z = 0, q in
[-(2^(b-1) - 1), 2^(b-1) - 1]) with one scale per output channel, inputs asymmetric uint8 with one
scale. Rounding passes gradients straight through; clamping passes them only inside the range.

Source: Jacob et al. 2018, arXiv:1712.05877, Eq. 1; scales learned as in Esser et al. 2020,
arXiv:1902.08153, but through their logarithm, so that Adam's step is relative to the scale.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from objectives.state import LayerFormat

INPUT_MAX = 255
"""Layer inputs are uint8 at any weight precision."""


def weight_max(bits: int) -> int:
    """Return the largest stored integer of a weight: 127 for 8 bits."""
    return int(2 ** (bits - 1)) - 1


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
        stored = scaled.round().add_(zero_point)
        inside = (stored >= low) & (stored <= high)
        of_scale = None
        if ctx.needs_input_grad[1]:  # d x^ / d s = q - z - (x / s inside the range)
            slope = stored.clamp_(low, high).sub_(zero_point).sub_(scaled.mul_(inside))
            of_scale = slope.mul_(gradient).sum_to_size(scale.shape)
            del slope
        del scaled, stored  # 150 MB each for AlexNet's largest layer
        return gradient * inside, of_scale, None, None, None


def per_channel(scale: Tensor, weight: Tensor) -> Tensor:
    """Return `scale` (C_out,) shaped (C_out, 1, ...) to broadcast over `weight` (C_out, ...)."""
    return scale.view(-1, *[1] * (weight.dim() - 1))


def symmetric_scale(weight: Tensor, bits: int) -> Tensor:
    """Return the scale (C_out,) that maps each channel's largest magnitude to the largest integer.

    A channel of zeros gets the largest scale of the others, or 1 if there is none.
    """
    scale = weight.detach().abs().flatten(1).amax(dim=1) / weight_max(bits)
    largest = scale.max()
    return torch.where(scale > 0, scale, largest if largest > 0 else torch.ones_like(largest))


def asymmetric_range(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return the uint8 scale () and zero point () for values in [low, high] and for 0."""
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = (high - low) / INPUT_MAX
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return scale, (-low / scale).round().clamp(0, INPUT_MAX).to(torch.uint8)


class WeightFakeQuantizer(nn.Module):
    """A parametrization of `weight`: Eq. 1 with a scale that is learned."""

    def __init__(self, scale: Tensor, bits: int) -> None:
        super().__init__()
        self._high = weight_max(bits)
        self.register_buffer("_initial_scale", scale)
        self._log_gain = nn.Parameter(torch.zeros_like(scale))
        self._initial_scale: Tensor

    def scale(self) -> Tensor:
        """Return the step size per output channel, (C_out,)."""
        return self._initial_scale * self._log_gain.exp()

    def forward(self, weight: Tensor) -> Tensor:
        """Return the fake-quantized weight, shaped like `weight` (C_out, ...)."""
        scale = per_channel(self.scale(), weight)
        return fake_quantize(weight, scale, scale.new_zeros(()), -self._high, self._high)


class InputFakeQuantizer(nn.Module):
    """A forward pre-hook: Eq. 1 on the layer's input with a fixed scale and zero point."""

    def __init__(self, scale: Tensor, zero_point: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("zero_point", zero_point, persistent=False)
        self.scale: Tensor
        self.zero_point: Tensor

    def forward(self, layer: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Return the fake-quantized input."""
        return (fake_quantize(args[0], self.scale, self.zero_point, 0, INPUT_MAX),)


def attach_(
    layers: dict[str, nn.Module], formats: dict[str, LayerFormat], *, weights: bool
) -> None:
    """Make `layers` compute, in place, with the numbers that the integer `formats` store.

    Args:
        layers: By name; one whose format has a range of inputs gets an `input_quantizer`.
        formats: Formats by layer; those without scales are passed over.
        weights: Whether to fake-quantize weights too; without, they must lie on the grid already.
    """
    for name, stored in formats.items():
        layer = layers[name]
        if stored.input_scale is not None and stored.input_zero_point is not None:
            layer.input_quantizer = InputFakeQuantizer(stored.input_scale, stored.input_zero_point)
            layer.register_forward_pre_hook(layer.input_quantizer)
        if weights and stored.weight_scale is not None:
            quantizer = WeightFakeQuantizer(stored.weight_scale, stored.bits)
            parametrize.register_parametrization(layer, "weight", quantizer)
