"""Fixed point: integers whose scale is a power of two, so that scaling is a shift.

Notation: x a weight or an input, b bits, f the place of the radix point, q the stored integer,

    q = clamp(round(x * 2^f), q_min, q_max),   x^ = q * 2^-f                    (Eq. 1)

with round half to even; q in [-2^(b-1), 2^(b-1) - 1], for weights without the lowest one, so that
they are symmetric. Each layer has an f for its weights and one for its inputs, f may be negative
or more than b. That of the inputs is the largest at which training images do not overflow, but for
the outliers that `objectives.training.value_ranges` leaves out,

    f = floor(log2(q_max / max |x|))                                            (Eq. 2)

and that of the weights is this one or one of the next `FINER_SCALES`, whichever has the least
squared error: clamping a few large weights can be worth finer steps for all others. Biases are
integers, too, at the product of the two scales.

While it is fine-tuned the network computes with x^, and rounding passes gradients straight through
to float weights behind (section 4 of the paper: two sets of weights). From 16 bits on nothing is
trained, as rounding is less than training's noise. 32 bits of an input leave it a float: ONNX
quantizes to 16 bits at most.

Source: Hashemi et al. 2017, arXiv:1612.03940, with (weights, inputs) of (32, 32), (16, 16), (8, 8)
and (4, 4) bits.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from models.checks import require
from models.layers import Layer
from objectives.context import Context
from objectives.network.groups import Groups
from objectives.network.state import ActivationFormat, LayerFormat, NetworkState, copy_weights
from objectives.stages.base import TunedAsStored, Tuning
from objectives.suggests import Suggests
from objectives.training.activations import attach_activations_
from objectives.training.fake_quantize import (
    LARGEST_BIAS,
    SMALLEST_SCALE,
    WeightGrid,
    fake_quantize,
)
from objectives.training.loop import tune_
from objectives.training.masks import MaskKeeper
from objectives.training.quantizers import attach_weight_, detach_weight_
from objectives.training.value_ranges import value_ranges

WIDTHS = (32, 16, 8, 4)
SEARCHED_WIDTHS = (16, 8, 4)
FINER_SCALES = 3
FEWEST_ROUNDED_BITS = 16
"""From here on rounding is not trained."""


def covering_scale(largest: float, highest: int) -> float:
    """Return the least power of two, 2^-f, at which `largest` is at most `highest` (Eq. 2)."""
    if largest < SMALLEST_SCALE * highest:
        return 1.0
    return 2.0 ** math.ceil(math.log2(largest / highest))


def weight_scale(weight: Tensor, grid: WeightGrid) -> float:
    """Return the power of two with the least squared error for all of `weight`."""
    covering = covering_scale(float(weight.abs().max()), grid.high)
    zero = torch.zeros(())
    candidates = [covering * 2.0**-finer for finer in range(FINER_SCALES + 1)]

    def error(scale: float) -> float:
        rounded = fake_quantize(weight, torch.tensor(scale), zero, grid.low, grid.high)
        return float((rounded - weight).double().square().sum())

    return min(candidates, key=error)


@dataclass(frozen=True, kw_only=True)
class FixedPoint(TunedAsStored):
    """Store weights as fixed-point numbers, and compute with such inputs."""

    stage = "fixed_point"
    version = 3
    order = 4

    bits: int = 8
    """Width of a weight: 32, 16, 8 or 4."""
    input_bits: int = 8
    """Width of a layer's input: 16, 8 or 4; 32 leaves it a float."""
    calibration_images: int = 1024
    """Training images, evenly spread, that the largest layer inputs are read off."""

    def __post_init__(self) -> None:
        require(self.bits in WIDTHS, f"bits in {WIDTHS}", bits=self.bits)
        require(self.input_bits in WIDTHS, f"input_bits in {WIDTHS}", input_bits=self.input_bits)
        super().__post_init__()
        require(
            self.calibration_images >= 1,
            "calibration_images >= 1",
            calibration_images=self.calibration_images,
        )

    @property
    def described(self) -> str:
        """The method in a few words."""
        return f"fixed point, inputs {self.input_bits} bits"

    @property
    def epochs(self) -> int:
        """Epochs that the stage trains."""
        is_coarse = min(self.bits, self.input_bits) < FEWEST_ROUNDED_BITS
        return self.tuning_epochs if is_coarse else 0

    def suggest_wide(self, trial: Suggests, tuning: Tuning) -> Self:
        """Return these settings with the two widths that `trial` suggests."""
        return replace(
            self,
            bits=trial.suggest_categorical("fixed_point.bits", SEARCHED_WIDTHS),
            input_bits=trial.suggest_categorical("fixed_point.input_bits", SEARCHED_WIDTHS),
        )

    def apply(self, state: NetworkState, context: Context) -> NetworkState:
        """Return the weights as fixed-point numbers, and each layer's format."""
        state = context.fold(state)
        network = context.network_of(state)
        layers = context.layers_of(network)
        taken = context.taken(state, layers) if self.input_bits < 32 else {}
        activations = self._activations(taken, state, network, context)
        scales = {layer: activations[names[0]].scale for layer, names in taken.items()}
        formats = {name: self._format(layer, scales.get(name)) for name, layer in layers.items()}
        attach_activations_(network, context.values(state), activations)
        quantizers = {
            name: attach_weight_(layer, formats[name], self._grid(), learn_scale=False)
            for name, layer in layers.items()
        }
        weights = {name: layer.weight for name, layer in layers.items()}
        tune_(network, context, self, callbacks=[MaskKeeper(weights, state.masks)])
        formats = {
            name: detach_weight_(layers[name], formats[name], quantizer, scales.get(name))
            for name, quantizer in quantizers.items()
        }
        return replace(
            state, weights=copy_weights(network), formats=formats, activations=activations
        )

    def _grid(self) -> WeightGrid:
        return WeightGrid(self.bits, symmetric=True, per_channel=False)

    def _activations(
        self,
        taken: Mapping[str, Sequence[str]],
        state: NetworkState,
        network: nn.Module,
        context: Context,
    ) -> dict[str, ActivationFormat]:
        """Return how values are rounded: all that a layer multiplies, by the same scale."""
        images = context.data.training_inputs(self.calibration_images)
        names = dict.fromkeys(name for each in taken.values() for name in each)
        ranges = value_ranges(network, context.values(state), names, images)
        groups = Groups()
        for each in taken.values():
            for name in each:
                groups.join(name, each[0])
        largest: dict[str, float] = {}
        for name, ends in ranges.items():
            group = groups.of(name)
            largest[group] = max(largest.get(group, 0.0), *(float(end.abs()) for end in ends))
        highest = (1 << self.input_bits - 1) - 1
        integers = torch.int16 if self.input_bits == 16 else torch.int8
        return {
            name: ActivationFormat(
                scale=torch.tensor(covering_scale(largest[groups.of(name)], highest)),
                zero_point=torch.zeros((), dtype=integers),
                bits=self.input_bits,
            )
            for name in names
        }

    def _format(self, layer: Layer, input_scale: Tensor | None) -> LayerFormat:
        """Return the format of `layer` with the radix point of its weights."""
        weight = layer.weight.detach()
        scale = weight_scale(weight, self._grid())
        if input_scale is not None and layer.bias is not None:
            largest_bias = float(layer.bias.detach().abs().max())
            least = covering_scale(largest_bias / float(input_scale), LARGEST_BIAS)
            scale = max(scale, least) if largest_bias > 0 else scale
        return LayerFormat(
            bits=self.bits,
            weight_scale=torch.full((len(weight),), scale),
            weight_zero_point=torch.zeros(len(weight), dtype=torch.int8),
        )
