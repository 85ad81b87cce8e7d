"""k-means on a line, where no group stays empty; see `objectives/stages/cluster.py`."""

from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Initialization = Literal["linear", "density", "random"]
INITIALIZATIONS: tuple[Initialization, ...] = get_args(Initialization)
Ordered = NDArray[np.float64]
Edges = NDArray[np.int64]
MOST_ITERATIONS = 300


def initial_centroids(
    values: Tensor, count: int, initialization: Initialization, generator: torch.Generator
) -> Tensor:
    """Return `count` centroids to begin with, (count,), ascending.

    linear: evenly between the smallest and the largest value, which gives large weights, the few
    that matter most, centroids of their own. density: evenly over the distribution function.
    random: values drawn without replacement.

    Source: section 3.2 and Fig. 6.
    """
    if initialization == "linear":
        return torch.linspace(float(values.min()), float(values.max()), count)
    if initialization == "density":
        levels = (torch.arange(count) + 0.5) / count
        return torch.from_numpy(np.quantile(values.numpy(), levels.numpy())).float()
    drawn = torch.randperm(len(values), generator=generator)[:count]
    padded = values[drawn].repeat(-(-count // len(drawn)))[:count]
    return padded.sort().values


def k_means(values: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """Return centroids, ascending, and the group of each of `values` (n,), by Lloyd's method.

    No group is empty: one that would be takes half of another. So there are k groups, as many as
    `centroids` to begin with, or as many as there are different values, if these are fewer. In one
    dimension groups are intervals, so sorted values and their running sums do an iteration in
    k log n steps (Eq. 2).
    """
    ordered = values.double().sort().values.numpy()
    sums = np.concatenate([[0.0], ordered.cumsum()])
    edges = _group(ordered, centroids.double().sort().values.numpy(), len(centroids))
    for _ in range(MOST_ITERATIONS):
        before, edges = edges, _group(ordered, _means(ordered, sums, edges), len(centroids))
        if np.array_equal(before, edges):
            break
    largest = torch.from_numpy(ordered[edges[1:-1] - 1])
    found = torch.from_numpy(_means(ordered, sums, edges)).float()
    return found, torch.bucketize(values.double(), largest)


def _means(ordered: Ordered, sums: Ordered, edges: Edges) -> Ordered:
    """Return the mean of each group, none of which is empty, by the running sums of all values."""
    means = np.diff(sums[edges]) / np.diff(edges)
    return means.clip(ordered[edges[:-1]], ordered[edges[1:] - 1])  # sums are rounded


def _group(ordered: Ordered, centers: Ordered, count: int) -> Edges:
    """Return the edges of `count` groups, none of which is empty, by the nearest of `centers`.

    As long as groups are missing, that with the largest sum of squared distances to its mean is
    cut half-way between its smallest and its largest value.

    Args:
        ordered: All values, ascending.
        centers: Ascending.
        count: Groups; there are fewer where there are fewer different values.

    Returns:
        (groups + 1,), ascending: group i has the values from `edges[i]` up to `edges[i + 1]`.
    """
    nearest = np.searchsorted(ordered, (centers[1:] + centers[:-1]) / 2)
    found = np.unique([0, *nearest, len(ordered)]).tolist()
    missing = count + 1 - len(found)
    errors = [_error(ordered[start:end]) for start, end in pairwise(found)] if missing else []
    for _ in range(missing):
        worst = int(np.argmax(errors))
        if errors[worst] == 0:
            break
        start, end = found[worst], found[worst + 1]
        middle = (ordered[start] + ordered[end - 1]) / 2
        cut = start + int(np.searchsorted(ordered[start:end], middle, side="right"))
        found.insert(worst + 1, cut)
        errors[worst : worst + 1] = [_error(ordered[start:cut]), _error(ordered[cut:end])]
    return np.array(found)


def _error(group: Ordered) -> float:
    """Return the sum of squared distances to the mean, exactly 0 where all values are equal."""
    if group[0] == group[-1]:
        return 0.0
    return float(np.square(group - group.mean()).sum())
