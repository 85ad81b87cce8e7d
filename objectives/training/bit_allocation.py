"""Choose bits of layers under a budget; see `objectives/stages/mixed.py`."""

from collections.abc import Mapping, Sequence

import numpy as np

MOST_UNITS = 20_000
"""Of the budget, in which sizes are counted."""


def choose_bits(
    sensitivity: Mapping[str, Mapping[float, float]], weights: Mapping[str, int], mean_bits: float
) -> dict[str, int]:
    """Return the bits of each layer with which Eq. 1 is least among those that Eq. 2 allows.

    Args:
        sensitivity: S_l(b) by layer and bits, for the same bits of all layers.
        weights: n_l by layer.
        mean_bits: B in bits for each weight, at least the fewest bits that there are.
    """
    widths = sorted({int(bits) for each in sensitivity.values() for bits in each})
    budget = mean_bits * sum(weights.values())

    def fits(bits: Mapping[str, int]) -> bool:
        return sum(weights[layer] * width for layer, width in bits.items()) <= budget

    def loss(bits: Mapping[str, int]) -> float:
        return sum(sensitivity[layer][width] for layer, width in bits.items())

    unit = max(1.0, budget / MOST_UNITS)
    units = int(budget / unit)
    found = _least_loss(sensitivity, weights, widths, unit, units)
    while not fits(found):  # sizes are rounded down to units
        units -= 1
        found = _least_loss(sensitivity, weights, widths, unit, units)
    same = [dict.fromkeys(weights, width) for width in widths]
    return min([found, *(bits for bits in same if fits(bits))], key=loss)


def _least_loss(
    sensitivity: Mapping[str, Mapping[float, float]],
    weights: Mapping[str, int],
    widths: Sequence[int],
    unit: float,
    units: int,
) -> dict[str, int]:
    """Return the bits of each layer with least loss whose sizes, in whole units, fit into `units`.

    The multiple-choice knapsack by dynamic programming: for each part of the units the least loss
    of the layers so far.
    """
    least = np.zeros(units + 1)
    choices = []
    for layer, count in weights.items():
        losses = np.full((len(widths), units + 1), np.inf)
        for row, width in enumerate(widths):
            size = min(units + 1, int(count * width / unit))
            losses[row, size:] = least[: units + 1 - size] + sensitivity[layer][width]
        choices.append(losses.argmin(axis=0))
        least = losses.min(axis=0)
    bits = {}
    for (layer, count), choice in reversed(list(zip(weights.items(), choices, strict=True))):
        bits[layer] = widths[choice[units]]
        units -= int(count * bits[layer] / unit)
    return {layer: bits[layer] for layer in weights}
