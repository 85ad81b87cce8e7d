"""Layers that compute with fake-quantized weights and inputs while they are trained.

Scales of weights are learned (`learned_scale`); inputs keep theirs (`fake_quantize`).
"""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from objectives.fake_quantize import WeightGrid, fake_quantize, per_channel
from objectives.learned_scale import quantize_learning
from objectives.state import LayerFormat


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

    def forward(self, layer: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Return the fake-quantized input."""
        zero_point = self.zero_point if self._has_zero_point else None
        return (fake_quantize(args[0], self.scale, zero_point, *self._limits),)


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
