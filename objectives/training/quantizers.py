"""Layers that compute with fake-quantized weights, of learned scale, while they are trained."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from models.layers import Layer
from objectives.network.state import LayerFormat
from objectives.network.substitution import substitute_, substitute_for_good_
from objectives.training.fake_quantize import WeightGrid, fake_quantize, per_channel
from objectives.training.learned_scale import quantize_learning


class WeightFakeQuantizer(nn.Module):
    """Is read in the place of a weight: Eq. 1 with a scale that is learned, or stays."""

    def __init__(
        self, scale: Tensor, zero_point: Tensor, grid: WeightGrid, *, learn_scale: bool
    ) -> None:
        super().__init__()
        self._grid = grid
        self.register_buffer("_initial_scale", scale)
        self.register_buffer("_zero_point", zero_point)
        gains = torch.zeros(len(scale) if grid.per_channel else 1)
        self.log_gain = nn.Parameter(gains, requires_grad=learn_scale)
        """Logarithm of what the scale was multiplied by, (C_out,), or (1,) for one for all."""
        self._initial_scale: Tensor
        self._zero_point: Tensor

    def scale(self) -> Tensor:
        """Return the step size per output channel, (C_out,)."""
        return self._initial_scale * self.log_gain.exp()

    def forward(self, weight: Tensor) -> Tensor:
        """Return the fake-quantized weight, shaped like `weight` (C_out, ...)."""
        low, high = self._grid.low, self._grid.high
        zero_point = None if self._grid.symmetric else per_channel(self._zero_point, weight)
        if self.log_gain.requires_grad:
            scale = per_channel(self._initial_scale, weight)
            return quantize_learning(weight, self.log_gain, scale, zero_point, low, high)
        return fake_quantize(weight, per_channel(self.scale(), weight), zero_point, low, high)


def attach_weight_(
    layer: Layer, stored: LayerFormat, grid: WeightGrid, *, learn_scale: bool = True
) -> WeightFakeQuantizer:
    """Make `layer` compute, in place, with a weight on the `grid` that `stored` begins with."""
    assert stored.weight_scale is not None
    assert stored.weight_zero_point is not None
    quantizer = WeightFakeQuantizer(
        stored.weight_scale, stored.weight_zero_point, grid, learn_scale=learn_scale
    )
    substitute_(layer, quantizer)
    return quantizer


def detach_weight_(
    layer: Layer,
    stored: LayerFormat,
    quantizer: WeightFakeQuantizer,
    input_scale: Tensor | None = None,
) -> LayerFormat:
    """Put weight and bias on their grids, in place; return the format with the final scales."""
    scale = quantizer.scale().detach()
    substitute_for_good_(layer)
    bias = layer.bias
    if bias is not None and input_scale is not None:
        bias_scale = scale * input_scale.to(scale.device)
        bias.data.copy_((bias.detach() / bias_scale).round() * bias_scale)
    return replace(stored, weight_scale=scale.cpu(), input_scale=input_scale)
