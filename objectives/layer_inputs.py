"""What the layers of a network are given: their inputs' ranges and second moments."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.layers import Layer
from objectives.quantizers import layer_input

CALIBRATION_BATCH = 256
"""Inputs in a forward pass: no result depends on it but by rounding."""

PATCHED_INPUTS = 16
"""Inputs whose patches are made at a time: those of 256 images can take gigabytes."""


def visit_inputs(
    network: nn.Module,
    layers: Mapping[str, Layer],
    inputs: Tensor,
    visit: Callable[[str, Tensor], None],
) -> None:
    """Call `visit` with the name of a layer and what it is given, for each batch of `inputs`.

    A layer that is given integers (an embedding), or that is not called, is not visited.
    """

    def look(name: str, values: Tensor) -> None:
        if values.is_floating_point():
            visit(name, values)

    hooks = [
        layer.module.register_forward_pre_hook(
            lambda _, args, named, name=name: look(name, layer_input(args, named)),
            with_kwargs=True,
        )
        for name, layer in layers.items()
    ]
    network.eval()
    with torch.no_grad():
        for batch in inputs.split(CALIBRATION_BATCH):
            network(batch)
    for hook in hooks:
        hook.remove()


def input_ranges(
    network: nn.Module, layers: Mapping[str, Layer], inputs: Tensor
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the smallest and largest number, each (), that each visited layer is given."""
    ranges: dict[str, tuple[Tensor, Tensor]] = {}

    def widen(name: str, values: Tensor) -> None:
        low, high = values.aminmax()
        if name in ranges:
            low, high = low.minimum(ranges[name][0]), high.maximum(ranges[name][1])
        ranges[name] = low, high

    visit_inputs(network, layers, inputs, widen)
    return ranges


def input_moments(
    network: nn.Module,
    layers: Mapping[str, Layer],
    inputs: Tensor,
    blocks: Mapping[str, int],
) -> dict[str, Tensor]:
    """Return the mean of x^T x, (d, d), over all blocks x (1, d) that each visited layer is given.

    Args:
        network: Called with `inputs`.
        layers: By name.
        inputs: (N, ...).
        blocks: The length d of each layer's blocks; it divides the length of a weight's row.
    """
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}

    def add(name: str, values: Tensor) -> None:
        for part in values.split(PATCHED_INPUTS):
            x = _rows(layers[name].module, part).reshape(-1, blocks[name]).double()
            sums[name] = sums.get(name, 0) + x.T @ x
            counts[name] = counts.get(name, 0) + len(x)

    visit_inputs(network, layers, inputs, add)
    return {name: (total / counts[name]).float() for name, total in sums.items()}


def _rows(layer: nn.Module, values: Tensor) -> Tensor:
    """Return what a row of the layer's weight is multiplied with, (..., row of all groups).

    A convolution whose kernels have a single 1 each cuts its input into patches.
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
        padding=layer.padding,
        dilation=layer.dilation,
        groups=channels,
        bias=False,
        padding_mode=layer.padding_mode,
    )
    ones = torch.eye(kernel).view(kernel, 1, *layer.kernel_size)
    cutter.weight.data = ones.repeat(channels, *[1] * (ones.dim() - 1))
    patches: Tensor = cutter(values)  # (N, channels * kernel, ...)
    return patches.movedim(1, -1)
