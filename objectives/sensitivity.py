"""Sensitivity: what it costs to compress one layer alone, without any training.

Counted are the answers that change, on training inputs, so that no label is needed. Cheap, and
enough to tell which layers bear much; a network that is fine-tuned afterwards loses far less.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from objectives.context import Context
from objectives.fake_quantize import WeightGrid, fake_quantize, fit_grid, per_channel
from objectives.masks import magnitude_mask
from objectives.state import NetworkState

DENSITIES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
BITS = (8, 6, 5, 4, 3, 2)
UNCOMPRESSED_DENSITY = 1.0
UNCOMPRESSED_BITS = 16

INPUTS = 512
INPUTS_AT_ONCE = 128


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Share of answers, percent, that change when one layer alone is compressed; by layer."""

    density: Mapping[str, Mapping[float, float]]
    """When the layer keeps this share of its weights."""
    bits: Mapping[str, Mapping[float, float]]
    """When the layer's weights have so many bits."""

    def lowest_density(self, layer: str, changed_pct: float) -> float:
        """Return the lowest density that changes at most so many answers, 1 if none does."""
        return _lowest(self.density[layer], changed_pct, UNCOMPRESSED_DENSITY)

    def lowest_bits(self, layer: str, changed_pct: float) -> int:
        """Return the fewest bits that change at most so many answers, 16 if none does."""
        return int(_lowest(self.bits[layer], changed_pct, UNCOMPRESSED_BITS))


def _lowest(changed: Mapping[float, float], most: float, lowest: float) -> float:
    """Return the last value on the way down before the first one that changes too much."""
    for value, share in sorted(changed.items(), reverse=True):
        if share > most:
            break
        lowest = value
    return lowest


def measure_sensitivity(state: NetworkState, context: Context) -> Sensitivity:
    """Prune and round each layer of `state` alone and count the answers that change.

    Raises:
        StopRequested: The study is to stop.
    """
    network = context.network_of(state)
    inputs = context.data.training_inputs(INPUTS).split(INPUTS_AT_ONCE)

    def answers() -> Tensor:
        context.progress.check()
        return torch.cat([network(batch).argmax(dim=1) for batch in inputs])

    density: dict[str, dict[float, float]] = {}
    bits: dict[str, dict[float, float]] = {}
    with torch.no_grad():
        intact = answers()
        for name, layer in context.layers_of(network).items():
            weight = layer.get_parameter("weight")
            before = weight.clone()

            def changed_pct(compressed: Tensor, weight: Tensor = weight) -> float:
                weight.copy_(compressed)
                return 100 * float((answers() != intact).float().mean())

            density[name] = {
                share: changed_pct(before * magnitude_mask(before, 1 - share))
                for share in DENSITIES
            }
            bits[name] = {width: changed_pct(_rounded(before, width)) for width in BITS}
            weight.copy_(before)
    return Sensitivity(density=density, bits=bits)


def _rounded(weight: Tensor, bits: int) -> Tensor:
    grid = WeightGrid(bits)
    scale, zero_point = (per_channel(values, weight) for values in fit_grid(weight, grid))
    return fake_quantize(weight, scale, zero_point, grid.low, grid.high)
