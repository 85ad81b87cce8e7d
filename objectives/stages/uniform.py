r"""Uniform: integers whose step, not whose number of bits, is what is chosen.

Bits tie the step to the largest weight: one outlier makes all others coarse. Here each layer has
one step s, as large as the answers bear, and as many integers as that needs, up to 127 on each
side. The file stores int8; what it takes is what a coder makes of it, to which rare large numbers
are cheap and zeros are nearly free.

`noise` decides the steps: how far rounding may move the answers (`objectives.training.steps`,
where Eq. 1 is).

Without training the integers are chosen by `objectives.training.rate_distortion`, which makes
answers suffer less than that, and biases take over the mean of what is left. With training the
weights are rounded to the nearest in the forward pass, steps are learned, and the loss has

    loss + rate / n * bits                                                       (Eq. 2)

so `rate` is what a bit for each weight may cost, in the loss's unit
(`objectives.training.rate_penalty`). That zeroes most weights: no sparsity has to be chosen, and
pruning before is not needed, though its zeros are kept. Channels of which nothing is left are
taken out in the end (`objectives.stages.dead_channels`).

Source: Oktay et al. 2020, arXiv:1906.06624, Eq. 2.

What it takes beside others' quantizers: `python -m benchmarks.quantizers`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import torch
from pytorch_lightning import Callback
from torch import Tensor, nn

from models.checks import require
from models.inputs import Given
from models.layers import Layer
from objectives.context import Context
from objectives.network.state import LayerFormat, NetworkState, copy_weights
from objectives.network.structure import SPLITTABLE
from objectives.stages.base import TunedAsStored, Tuning
from objectives.stages.dead_channels import without_dead_channels
from objectives.stages.product import largest_divisor
from objectives.suggests import Suggests
from objectives.training.codebook import round_bias_
from objectives.training.fake_quantize import SMALLEST_SCALE, WeightGrid
from objectives.training.layer_inputs import input_means_and_covariances
from objectives.training.loop import tune_
from objectives.training.masks import MaskKeeper
from objectives.training.quantizers import attach_weight_, detach_weight_
from objectives.training.rate_distortion import quantize_rate_distortion
from objectives.training.rate_penalty import RatePenalty
from objectives.training.steps import bias_step, chosen_steps, curvatures, shorten_step_

SEARCHED_NOISE = (0.03, 4.0)
"""Without training LeNet-5 loses half a point of accuracy at 1.4, and a whole one at 5."""
SEARCHED_RATE = (0.01, 10.0)
LR_FACTOR = 4.0
"""A search tries learning rates up to this factor above the one that is set."""

DECIDING_RATE = 2e-3
"""What a bit costs where integers are chosen without training, in c_l s_l^2. Thirty times as much
is what Eq. 1 of `rate_distortion` asks at such steps, but bits are better saved by larger steps:
of LeNet-5 that took half as many bytes where less than a point of accuracy was lost."""
MOST_COLUMNS = 4608
"""Longer rows are taken in blocks, as the moments of all inputs would take gigabytes."""

GRID = WeightGrid(bits=8, symmetric=True, per_channel=False)


@dataclass(frozen=True, kw_only=True)
class UniformSteps(TunedAsStored):
    """Store weights as integers in steps that are chosen."""

    stage = "uniform"
    version = 2
    order = 6

    noise: float = 0.1
    """How far rounding may move the answers, in their standard deviations (Eq. 1)."""
    rate: float = 0.0
    """What a bit for each weight may cost in training, in the loss's unit (Eq. 2)."""
    calibration_images: int = 1024
    """Training images, evenly spread, that curvature and inputs are taken over."""

    def __post_init__(self) -> None:
        require(self.noise > 0, "noise > 0", noise=self.noise)
        require(self.rate >= 0, "rate >= 0", rate=self.rate)
        require(
            self.calibration_images >= 1,
            "calibration_images >= 1",
            calibration_images=self.calibration_images,
        )
        super().__post_init__()

    @property
    def described(self) -> str:
        """The method in a few words."""
        paid = f", rate {self.rate:.2g}" if self.epochs and self.rate else ""
        return f"uniform steps, noise {self.noise:.2g}{paid}"

    def bits_of(self, layer: str) -> float:
        """Return the bits of a stored integer."""
        del layer
        return GRID.bits

    def suggest_wide(self, trial: Suggests, tuning: Tuning) -> Self:
        """Return these settings with noise, and for training learning rate and rate, suggested."""
        noise = trial.suggest_float("uniform.noise", *SEARCHED_NOISE, log=True)
        if self.epochs == 0:
            return replace(self, noise=noise)
        lr = trial.suggest_float("uniform.lr", self.lr, LR_FACTOR * self.lr, log=True)
        rate = trial.suggest_float("uniform.rate", *SEARCHED_RATE, log=True)
        return replace(self, noise=noise, lr=lr, rate=rate)

    def apply(self, state: NetworkState, context: Context) -> NetworkState:
        """Return rounded weights, masks of those that are not zero, and each layer's format."""
        state = context.fold(state)
        network = context.network_of(state)
        layers = context.layers_of(network)
        images = context.data.training_inputs(self.calibration_images)
        of_weights, of_biases = curvatures(network, layers, images)
        steps = chosen_steps(layers, of_weights, self.noise)
        network = context.network_of(state)  # what is frozen is so again
        layers = context.layers_of(network)
        if self.epochs > 0:
            steps = self._tuned_(network, layers, steps, state, context)
        else:
            means, moments = self._inputs_of(network, layers, images, state, context)
            for name, layer in layers.items():
                mask = state.masks.get(name)
                _decide_(
                    layer, steps[name], of_weights[name], moments[name], means.get(name), mask
                )
        bias_scales = {}
        for name, layer in layers.items():
            steps[name] = torch.tensor(shorten_step_(layer, float(steps[name])))
            finer = bias_step(float(steps[name]), of_weights[name], of_biases.get(name))
            bias_scales[name] = round_bias_(layer, finer)
        whole = NetworkState(weights=copy_weights(network), folded=state.folded)
        weights = without_dead_channels(whole, context, images).weights
        masks, formats = {}, {}
        for name, layer in layers.items():
            masks[name] = weights[layer.weight_name] != 0
            stored = _format(len(masks[name]), steps[name])
            formats[name] = replace(stored, bias_scale=bias_scales[name])
        return replace(state, weights=weights, masks=masks, formats=formats)

    def _tuned_(
        self,
        network: nn.Module,
        layers: Mapping[str, Layer],
        steps: Mapping[str, Tensor],
        state: NetworkState,
        context: Context,
    ) -> dict[str, Tensor]:
        """Train `network` while rounded, in place; return the learned steps."""
        formats = {name: _format(len(layer.weight), steps[name]) for name, layer in layers.items()}
        quantizers = {
            name: attach_weight_(layers[name], stored, GRID) for name, stored in formats.items()
        }
        weights = {name: layer.weight for name, layer in layers.items()}
        callbacks: list[Callback] = [MaskKeeper(weights, state.masks)]
        if self.rate > 0:
            total = sum(weight.numel() for weight in weights.values())
            callbacks.append(RatePenalty(weights, quantizers, self.rate / total))
        tune_(network, context, self, callbacks=callbacks)
        return {
            name: _step_of(detach_weight_(layers[name], formats[name], quantizer))
            for name, quantizer in quantizers.items()
        }

    def _inputs_of(
        self,
        network: nn.Module,
        layers: Mapping[str, Layer],
        images: Given,
        state: NetworkState,
        context: Context,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return means and second moments of what layers multiply, by layer.

        Second moments are about the mean where a bias makes good for that, of embeddings 1.
        """
        blocks = {
            name: largest_divisor(layer.weight[0].numel(), MOST_COLUMNS)
            for name, layer in layers.items()
        }
        taken = {
            name: values
            for name, values in context.taken(state, layers).items()
            if isinstance(layers[name].module, SPLITTABLE)
        }
        values = context.values(state)
        means: dict[str, Tensor] = {}
        moments = {name: torch.eye(1) for name in layers}
        found = input_means_and_covariances(network, values, taken, images, blocks)
        for name, (mean, covariance) in found.items():
            if _takes_over_mean(layers[name]):
                means[name], moments[name] = mean, covariance
            else:
                moments[name] = covariance + mean[:, None] * mean
        return means, moments


def _format(channels: int, step: Tensor) -> LayerFormat:
    return LayerFormat(
        bits=GRID.bits,
        weight_scale=step.expand(channels).contiguous(),
        weight_zero_point=torch.zeros(channels, dtype=torch.int8),
    )


def _step_of(stored: LayerFormat) -> Tensor:
    assert stored.weight_scale is not None
    return stored.weight_scale[0]


def _takes_over_mean(layer: Layer) -> bool:
    """Return whether a bias can make good what rounding does to the mean of each output."""
    groups = getattr(layer.module, "groups", 1)
    return layer.bias is not None and not layer.is_tied and groups == 1


def _decide_(
    layer: Layer,
    step: Tensor,
    dear: Tensor,
    moments: Tensor,
    mean: Tensor | None,
    mask: Tensor | None,
) -> None:
    """Round the weight of `layer` without training, in place, and move its bias by the mean."""
    weight = layer.weight.detach().flatten(1)
    spread = moments.diagonal().mean().clamp(min=SMALLEST_SCALE)
    integers = quantize_rate_distortion(
        weight,
        step,
        moments,
        sensitivity=2 * dear.mean(1) / spread,
        rate=DECIDING_RATE * float(dear.mean() * step.square()),
        keep=None if mask is None else mask.flatten(1),
    )
    rounded = integers * step
    if mean is not None and layer.bias is not None:
        blocks = (weight - rounded).view(len(weight), -1, len(mean)).sum(1)
        layer.bias.data += blocks @ mean
    layer.weight.data = rounded.view_as(layer.weight)
