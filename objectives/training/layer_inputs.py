"""The first and second moments of what the layers of a network multiply."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.inputs import Given
from objectives.network.values import Values
from objectives.training.value_ranges import visit_values

PATCHED_INPUTS = 16
"""Inputs whose patches are made at a time: those of 256 images can take gigabytes."""


def input_moments(
    network: nn.Module,
    values: Values,
    taken: Mapping[str, Sequence[str]],
    inputs: Given,
    blocks: Mapping[str, int],
) -> dict[str, Tensor]:
    """Return the mean of x^T x, (d, d), over all blocks x (1, d) that each layer multiplies.

    A layer that is given nothing is left out, as an expert is that no input goes to.

    Args:
        network: Called with `inputs`.
        values: Where it computes them.
        taken: The values that each layer multiplies, by the layer's name.
        inputs: N of them.
        blocks: The length d of each layer's blocks; it divides the length of a weight's row.
    """
    found = _means(network, values, taken, inputs, blocks, lambda x: x.T @ x)
    return {name: mean.float() for name, mean in found.items()}


def input_means_and_covariances(
    network: nn.Module,
    values: Values,
    taken: Mapping[str, Sequence[str]],
    inputs: Given,
    blocks: Mapping[str, int],
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return mean (d,) and covariance (d, d) of all blocks x; see `input_moments`."""

    def total_of(x: Tensor) -> Tensor:
        with_one = functional.pad(x, (0, 1), value=1.0)
        return with_one.T @ with_one

    found = {}
    for name, mean in _means(network, values, taken, inputs, blocks, total_of).items():
        of_x = mean[-1, :-1]  # in float64: nearly constant inputs have tiny covariances
        found[name] = of_x.float(), (mean[:-1, :-1] - of_x[:, None] * of_x).float()
    return found


def _means(
    network: nn.Module,
    values: Values,
    taken: Mapping[str, Sequence[str]],
    inputs: Given,
    blocks: Mapping[str, int],
    total_of: Callable[[Tensor], Tensor],
) -> dict[str, Tensor]:
    """Return the mean over all blocks x, float64, of what `total_of` sums up over some, (n, d)."""
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    readers: dict[str, list[str]] = defaultdict(list)
    for layer, names in taken.items():
        for name in dict.fromkeys(names):
            readers[name].append(layer)

    def add(name: str, given: Tensor) -> None:
        for layer in readers[name]:
            for part in given.split(PATCHED_INPUTS):
                x = _rows(network.get_submodule(layer), part).reshape(-1, blocks[layer]).double()
                if len(x) > 0:
                    sums[layer] = sums.get(layer, 0) + total_of(x)
                    counts[layer] = counts.get(layer, 0) + len(x)

    visit_values(network, values, readers, inputs, add)
    return {name: total / counts[name] for name, total in sums.items()}


def _rows(layer: nn.Module, values: Tensor) -> Tensor:
    """Return what a row of the layer's weight is multiplied with, (..., row of all groups).

    A convolution whose kernels have a single 1 each cuts its input into patches. Padding with
    other numbers than zeros was done before.
    """
    if not isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return values
    channels, kernel = layer.in_channels, layer.weight[0, 0].numel()
    kind: Any = type(layer)
    cutter = kind(
        channels,
        channels * kernel,
        layer.kernel_size,
        stride=layer.stride,
        padding=layer.padding if layer.padding_mode == "zeros" else 0,
        dilation=layer.dilation,
        groups=channels,
        bias=False,
    )
    ones = torch.eye(kernel).view(kernel, 1, *layer.kernel_size)
    cutter.weight.data = ones.repeat(channels, *[1] * (ones.dim() - 1))
    patches: Tensor = cutter(values)  # (N, channels * kernel, ...)
    return patches.movedim(1, -1)
