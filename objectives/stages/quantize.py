"""Quantize: choose what each weight is stored as, and fine-tune on that grid.

32 bits change nothing. 16 bits round every weight to float16. 8 bits are full-integer: weights
int8, symmetric, per output channel; layer inputs uint8, asymmetric, their ranges read off training
images; biases int32 at the product of the two scales. Then the network is fine-tuned while
quantized, with the pruning masks kept and the weights' scales learned (quantization-aware
training); with 0 epochs of it this is post-training quantization.

Source: Jacob et al. 2018, arXiv:1712.05877, sections 2 and 3; formulas in
`objectives/fake_quantize.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from models.checks import require
from models.images import ImageData, to_pixels
from models.layers import compressible_layers
from objectives.context import Context
from objectives.fake_quantize import (
    WeightFakeQuantizer,
    asymmetric_range,
    attach_,
    symmetric_scale,
)
from objectives.stages.prune import MaskKeeper
from objectives.state import LayerFormat, NetworkState, copy_weights
from objectives.training import train_

PRECISIONS = (32, 16, 8)

LARGEST_BIAS = 2**30
"""A stored bias stays below this, half of what int32 holds, so that learned scales have room."""


class SuggestsCategorical(Protocol):
    """The part of Optuna's `Trial` that this stage uses."""

    def suggest_categorical(self, name: str, choices: Sequence[int]) -> Any:  # noqa: ANN401 - Optuna's type
        """Return one of `choices`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    """Store weights with fewer bits."""

    stage: ClassVar[str] = "quantize"
    version: ClassVar[int] = 1

    bits: int
    """Storage width of a weight: 32, 16 or 8."""
    qat_epochs: int
    """Passes over the training part while quantized to integers; 0 only rounds."""
    batch_size: int
    """Images in a step."""
    lr: float
    """Adam's learning rate."""
    calibration_images: int = 1024
    """Training images, the first ones, that the ranges of layer inputs are read off."""

    def __post_init__(self) -> None:
        require(self.bits in PRECISIONS, f"bits in {PRECISIONS}", bits=self.bits)
        require(self.qat_epochs >= 0, "qat_epochs >= 0", qat_epochs=self.qat_epochs)
        require(self.batch_size >= 1, "batch_size >= 1", batch_size=self.batch_size)
        require(self.lr > 0, "lr > 0", lr=self.lr)
        require(
            self.calibration_images >= 1,
            "calibration_images >= 1",
            calibration_images=self.calibration_images,
        )

    @property
    def is_neutral(self) -> bool:
        """Weights are float32 before, so 32 bits change nothing."""
        return self.bits == 32

    @property
    def epochs(self) -> int:
        """Only integers are trained: float16 rounds away less than training noise."""
        return self.qat_epochs if self.bits < 16 else 0

    def suggest(self, trial: SuggestsCategorical) -> "Quantization":
        """Return these settings with the precision that `trial` suggests."""
        return replace(self, bits=trial.suggest_categorical("precision", PRECISIONS))

    def apply(self, state: NetworkState, context: Context) -> NetworkState:
        """Return the weights rounded to what the file will hold, and each layer's format."""
        if self.bits == 16:
            return _to_float16(state, context.build_network())
        network = state.load_into(context.build_network())
        formats = _calibrate(network, context.data, self)
        attach_(network, formats, weights=True)
        if self.qat_epochs > 0:
            train_(
                network,
                context,
                stage=self.stage,
                epochs=self.qat_epochs,
                batch_size=self.batch_size,
                lr=self.lr,
                callbacks=[MaskKeeper(_latent_weights(network), state.masks)],
            )
        return _to_grid(network, formats, state.masks)


def _to_float16(state: NetworkState, network: nn.Module) -> NetworkState:
    weights = {name: weight.half().to(weight.dtype) for name, weight in state.weights.items()}
    formats = {layer: LayerFormat(bits=16) for layer in compressible_layers(network)}
    return NetworkState(weights=weights, masks=state.masks, formats=formats)


def _calibrate(
    network: nn.Module, data: ImageData, settings: Quantization
) -> dict[str, LayerFormat]:
    """Return formats with the weights' own ranges and the inputs' ranges over training images."""
    layers = compressible_layers(network)
    inputs: dict[str, Tensor] = {}
    hooks = [
        layer.register_forward_pre_hook(
            lambda _, args, name=name: inputs.update({name: torch.stack(args[0].aminmax())})
        )
        for name, layer in layers.items()
    ]
    network.eval()
    with torch.no_grad():
        network(to_pixels(data.train.images[: settings.calibration_images]))
    for hook in hooks:
        hook.remove()
    formats = {}
    for name, layer in layers.items():
        weight = layer.get_parameter("weight").detach()
        input_scale, zero_point = asymmetric_range(*inputs[name])
        weight_scale = symmetric_scale(weight, settings.bits)
        bias = _bias(layer)
        if bias is not None:
            weight_scale = weight_scale.maximum(bias.detach().abs() / (input_scale * LARGEST_BIAS))
        formats[name] = LayerFormat(
            bits=settings.bits,
            weight_scale=weight_scale,
            input_scale=input_scale,
            input_zero_point=zero_point,
        )
    return formats


def _bias(layer: nn.Module) -> Tensor | None:
    return layer.bias if isinstance(layer.bias, Tensor) else None


def _latent_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return the float weights (not copies) behind the fake-quantized ones, by layer."""
    return {
        name: layer.get_parameter("parametrizations.weight.original")
        for name, layer in compressible_layers(network).items()
        if parametrize.is_parametrized(layer, "weight")
    }


def _to_grid(
    network: nn.Module, formats: dict[str, LayerFormat], masks: dict[str, Tensor]
) -> NetworkState:
    """Put weights and biases of `network` on their grids, in place, and return the state."""
    final = {}
    for name, stored in formats.items():
        layer = compressible_layers(network)[name]
        quantizer = layer.get_submodule("parametrizations.weight.0")
        assert isinstance(quantizer, WeightFakeQuantizer)
        scale = quantizer.scale().detach()
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
        final[name] = replace(stored, weight_scale=scale.cpu())
        bias = _bias(layer)
        if bias is not None and stored.input_scale is not None:
            bias_scale = scale * stored.input_scale.to(scale.device)
            bias.data.copy_((bias.detach() / bias_scale).round() * bias_scale)
    return NetworkState(weights=copy_weights(network), masks=masks, formats=final)
