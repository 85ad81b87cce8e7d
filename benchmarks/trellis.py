"""What dependent quantization would save: `python -m benchmarks.trellis [NETWORK ...]`.

Two quantizers share a grid: one has its even multiples, the other its odd ones and zero. Which of
them a weight takes follows from the parities of the integers before it, by a machine of 4 states,
and Viterbi's algorithm finds the path with least squared error + lambda * bits. Beside it stand
plain integers that are chosen one by one at the same price. Bits are entropies of independent
integers, of the two quantizers apart; weights are those of the trained baseline, each layer over
its standard deviation. Both go through the same steps and prices, and are read off the lower
convex hull of what they find, at the same squared error.

Source: Haase et al. 2020, "Dependent scalar quantization for neural network compression", ICIP;
the machine is that of VVC (ITU-T H.266, 7.3.11.11).
"""

import argparse
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from benchmarks.coders import entropy_bits
from benchmarks.quantizers import trained
from models.data.mnist import MNIST
from models.data_source import DataOptions
from objectives.container.compiled import compiled

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NETWORKS = ("cnn", "lenet300")
MOST = 60
"""The largest integer."""
NEXT = np.array([[0, 2], [2, 0], [1, 3], [3, 1]])
"""The state after an even and after an odd integer; states 2 and 3 have the odd quantizer."""
STEPS = (0.15, 0.25, 0.4, 0.5, 0.7, 0.85, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.3, 2.6, 3.0)
"""In standard deviations."""
PRICES = (0.03, 0.06, 0.1, 0.15, 0.2, 0.28, 0.4)
"""Of a bit, in squared steps."""
FINER = (0.5, 0.62, 0.75)
"""The common grid's step, over the plain one's."""
ROUNDS = 6
"""Bits are those of what was found before."""
DISTORTIONS = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Squared errors over the variance."""


@compiled
def plain(x: Floats, price: float, bits: Floats) -> Integers:
    """Return the integers for `x`, weights in steps; bits are of -MOST to MOST."""
    found = np.empty(len(x), np.int64)
    for place, value in enumerate(x):
        near = min(int(abs(value)), MOST - 1)
        sign = 1 if value >= 0 else -1
        least = np.inf
        for size in (0, near, near + 1):
            cost = (abs(value) - size) ** 2 + price * bits[sign * size + MOST]
            if cost < least:
                least, found[place] = cost, sign * size
    return found


@compiled
def dependent(x: Floats, price: float, bits: Floats) -> tuple[Integers, Integers]:
    """Return integers for `x`, in steps of the common grid, and which quantizer each is of.

    An integer k stands for 2 k in the even quantizer and for 2 k - sign(k) in the odd one.
    """
    states = len(NEXT)
    costs = np.full(states, np.inf)
    costs[0] = 0.0
    before = np.zeros((len(x), states), np.int64)
    taken = np.zeros((len(x), states), np.int64)
    for place, value in enumerate(x):
        after = np.full(states, np.inf)
        sign = 1 if value >= 0 else -1
        for state in range(states):
            odd = state // 2
            near = min(int((abs(value) + odd) / 2), MOST - 1)
            for size in (0, near, near + 1):
                error = abs(value) - (2 * size - odd if size else 0)
                cost = costs[state] + error**2 + price * bits[odd, sign * size + MOST]
                then = NEXT[state, size % 2]
                if cost < after[then]:
                    after[then] = cost
                    before[place, then], taken[place, then] = state, sign * size
        costs = after
    state = int(np.argmin(costs))
    integers, quantizers = np.empty(len(x), np.int64), np.empty(len(x), np.int64)
    for place in range(len(x) - 1, -1, -1):
        integers[place] = taken[place, state]
        state = before[place, state]
        quantizers[place] = state // 2
    return integers, quantizers


def halves(integers: Integers, quantizers: Integers) -> list[Integers]:
    """Return each quantizer's integers."""
    return [integers[quantizers == odd] for odd in range(2)]


def bits_of(integers: Integers) -> Floats:
    """Return the bits of -MOST to MOST; what is not among the integers counts as a rare one."""
    counts = np.bincount(integers + MOST, minlength=2 * MOST + 1) + 0.05
    bits: Floats = -np.log2(counts / counts.sum())
    return bits


def plain_point(weights: list[Floats], step: float, price: float) -> tuple[float, float]:
    """Return squared error and bits of plain integers."""
    error = taken = 0.0
    for x in weights:
        integers = plain(x / step, 0.0, np.zeros(2 * MOST + 1))
        for _ in range(ROUNDS):
            integers = plain(x / step, price, bits_of(integers))
        taken += entropy_bits(integers)
        error += float(((x - integers * step) ** 2).sum())
    return error, taken


def dependent_point(
    weights: list[Floats], step: float, price: float, finer: float
) -> tuple[float, float]:
    """Return squared error and bits of two quantizers; the price is as that of plain integers."""
    error = taken = 0.0
    for x in weights:
        integers, quantizers = dependent(x / (finer * step), 0.0, np.zeros((2, 2 * MOST + 1)))
        for _ in range(ROUNDS):
            bits = np.stack([bits_of(each) for each in halves(integers, quantizers)])
            integers, quantizers = dependent(x / (finer * step), price / finer**2, bits)
        taken += sum(map(entropy_bits, halves(integers, quantizers)))
        values = (2 * integers - np.sign(integers) * quantizers) * finer * step
        error += float(((x - values) ** 2).sum())
    return error, taken


def bits_at(points: list[tuple[float, float]], errors: Floats) -> Floats:
    """Return the bits at each error, on the lower convex hull of the points."""
    hull: list[tuple[float, float]] = []
    for error, bits in sorted(points):
        while len(hull) > 1:
            (first, most), (last, least) = hull[-2:]
            if (least - most) * (error - first) < (bits - most) * (last - first):
                break
            hull.pop()
        hull.append((error, bits))
    known, taken = np.array(hull).T
    found: Floats = np.interp(errors, known, taken)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK")
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    options = parser.parse_args()
    data = MNIST(DataOptions(root=options.data_root))
    data.setup()
    rows = []
    for name in options.networks or NETWORKS:
        context, state = trained(name, data)
        layers = context.layers_of(context.network_of(state))
        tensors = [layer.weight.detach().double().flatten() for layer in layers.values()]
        weights = [(each / each.std()).numpy() for each in tensors]
        total = sum(map(len, weights))
        errors = np.array(DISTORTIONS) * total
        settings = list(product(STEPS, PRICES))
        one = bits_at([plain_point(weights, *each) for each in settings], errors)
        two = bits_at(
            [dependent_point(weights, *each, finer) for each, finer in product(settings, FINER)],
            errors,
        )
        for distortion, alone, paired in zip(DISTORTIONS, one, two, strict=True):
            cells = [f"{distortion:g}", f"{alone / total:.2f}", f"{paired / alone:.3f}"]
            rows.append([name, *cells])
    headers = ["network", "squared error", "plain, bits a weight", "dependent / plain"]
    print(tabulate(rows, headers, "pipe", disable_numparse=True))


if __name__ == "__main__":
    main()
