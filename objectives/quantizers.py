"""Layers that compute with fake-quantized weights and inputs while they are trained.

Scales of weights are learned (`learned_scale`); inputs keep theirs (`fake_quantize`).
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from models.layers import Layer
from objectives.fake_quantize import WeightGrid, fake_quantize, per_channel
from objectives.learned_scale import quantize_learning
from objectives.state import LayerFormat
from objectives.substitution import substitute_, substitute_for_good_


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
        self._log_gain = nn.Parameter(gains, requires_grad=learn_scale)
        self._initial_scale: Tensor
        self._zero_point: Tensor

    def scale(self) -> Tensor:
        """Return the step size per output channel, (C_out,)."""
        return self._initial_scale * self._log_gain.exp()

    def forward(self, weight: Tensor) -> Tensor:
        """Return the fake-quantized weight, shaped like `weight` (C_out, ...)."""
        low, high = self._grid.low, self._grid.high
        zero_point = None if self._grid.symmetric else per_channel(self._zero_point, weight)
        if self._log_gain.requires_grad:
            scale = per_channel(self._initial_scale, weight)
            return quantize_learning(weight, self._log_gain, scale, zero_point, low, high)
        return fake_quantize(weight, per_channel(self.scale(), weight), zero_point, low, high)


class InputFakeQuantizer(nn.Module):
    """A forward pre-hook: Eq. 1 on the layer's input with a fixed scale and zero point."""

    def __init__(self, scale: Tensor, zero_point: Tensor, limits: tuple[int, int]) -> None:
        super().__init__()
        self._limits = limits
        self._has_zero_point = bool(zero_point.any())
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("zero_point", zero_point, persistent=False)
        self.scale: Tensor
        self.zero_point: Tensor

    def forward(
        self, layer: nn.Module, args: tuple[Tensor, ...], named: dict[str, Tensor]
    ) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        """Return what the layer is called with, its input fake-quantized."""
        zero_point = self.zero_point if self._has_zero_point else None
        values = layer_input(args, named)
        quantized = fake_quantize(values, self.scale, zero_point, *self._limits)
        return with_layer_input(args, named, quantized)


def layer_input(args: tuple[Tensor, ...], named: dict[str, Tensor]) -> Tensor:
    """Return what a layer is called with: the first of its arguments, whether named or not."""
    return args[0] if args else next(iter(named.values()))


def with_layer_input(
    args: tuple[Tensor, ...], named: dict[str, Tensor], values: Tensor
) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """Return the arguments of a layer with `values` as what it is called with."""
    if args:
        return (values, *args[1:]), named
    return args, named | {next(iter(named)): values}


def attach_inputs_(layers: Mapping[str, Layer], formats: Mapping[str, LayerFormat]) -> None:
    """Make `layers` compute, in place, with the inputs that the integer `formats` store."""
    for name, stored in formats.items():
        if stored.input_scale is not None and stored.input_zero_point is not None:
            module = layers[name].module
            module.input_quantizer = InputFakeQuantizer(
                stored.input_scale, stored.input_zero_point, stored.input_limits
            )
            module.register_forward_pre_hook(module.input_quantizer, with_kwargs=True)


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
    layer: Layer, stored: LayerFormat, quantizer: WeightFakeQuantizer
) -> LayerFormat:
    """Put weight and bias on their grids, in place; return the format with the final scale."""
    scale = quantizer.scale().detach()
    substitute_for_good_(layer)
    bias = layer.bias
    if bias is not None and stored.input_scale is not None:
        bias_scale = scale * stored.input_scale.to(scale.device)
        bias.data.copy_((bias.detach() / bias_scale).round() * bias_scale)
    return replace(stored, weight_scale=scale.cpu())
