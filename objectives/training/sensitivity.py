"""Sensitivity: what it costs to compress one layer alone, without any training.

Counted are the answers that change, on training inputs, so that no label is needed. Cheap, and
enough to tell which layers bear much; a network that is fine-tuned afterwards loses far less.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from models.inputs import ask
from objectives.context import Context
from objectives.network.state import NetworkState
from objectives.training.fake_quantize import WeightGrid, fake_quantize, fit_grid, per_channel
from objectives.training.masks import magnitude_mask

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
    prune: dict[float, Callable[[Tensor], Tensor]] = {
        share: partial(_pruned, density=share) for share in DENSITIES
    }
    return Sensitivity(
        density=_each_layer_alone(state, context, prune, context.data.task.changed_pct),
        bits=_each_layer_alone(state, context, _ROUND, context.data.task.changed_pct),
    )


def bits_divergence(state: NetworkState, context: Context) -> dict[str, dict[float, float]]:
    """Return how far the answers move when each layer alone has so many bits, by layer.

    That is the task's distance, of classes the Kullback-Leibler divergence of the softmax of the
    rounded network from that of the one that is not, in nats, mean over the inputs: finer than
    answers that change.

    Raises:
        StopRequested: The study is to stop.
    """
    task = context.data.task

    def distance(intact: Tensor, answers: Tensor) -> float:
        return float(task.distance(answers, intact))

    return _each_layer_alone(state, context, _ROUND, distance)


def _each_layer_alone(
    state: NetworkState,
    context: Context,
    ways: Mapping[float, Callable[[Tensor], Tensor]],
    distance: Callable[[Tensor, Tensor], float],
) -> dict[str, dict[float, float]]:
    """Return the distance from the intact answers when each layer is compressed in each way."""
    network = context.network_of(state)
    inputs = context.data.training_inputs(INPUTS).split(INPUTS_AT_ONCE)

    def answers() -> Tensor:
        context.progress.check()
        return torch.cat([ask(network, batch) for batch in inputs])

    distances: dict[str, dict[float, float]] = {}
    with torch.no_grad():
        intact = answers()
        for name, layer in context.layers_of(network).items():
            weight = layer.weight
            before = weight.clone()
            distances[name] = {}
            for value, compress in ways.items():
                weight.copy_(compress(before))
                distances[name][value] = distance(intact, answers())
            weight.copy_(before)
    return distances


def _pruned(weight: Tensor, density: float) -> Tensor:
    return weight * magnitude_mask(weight, 1 - density)


def _rounded(weight: Tensor, bits: int) -> Tensor:
    grid = WeightGrid(bits)
    scale, zero_point = (per_channel(values, weight) for values in fit_grid(weight, grid))
    return fake_quantize(weight, scale, zero_point, grid.low, grid.high)


_ROUND: dict[float, Callable[[Tensor], Tensor]] = {
    bits: partial(_rounded, bits=bits) for bits in BITS
}
