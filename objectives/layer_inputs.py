"""What the layers of a network are given: their inputs' ranges and second moments.

A range is one of three. The `extremes` are the smallest and the largest number that a layer is
given; one outlier among all training inputs makes steps so large that nothing else is told apart.
The `percentile` leaves out the one input in a hundred whose own smallest or largest number is most
extreme. `least_error` is the share of the extremes with the least squared error of uint8.

Accuracy on validation (1,200 digits, one seed) at 8 bits without fine-tuning, 256 training images
to calibrate with; then with one pixel of them at 255 instead of at most 1:

| | CNN | LeNet-5 | LeNet-300-100 | residual | attention | squeeze and excite |
| :-- | --: | --: | --: | --: | --: | --: |
| float32 | 92.7 | 96.6 | 93.6 | 69.2 | 79.3 | 34.4 |
| percentile | 92.6 | 96.7 | 93.6 | 69.7 | 79.2 | 35.2 |
| extremes | 92.6 | 96.7 | 93.8 | 67.9 | 79.4 | 35.4 |
| least error | 92.6 | 96.7 | 93.8 | 68.5 | 79.4 | 35.0 |
| percentile, outlier | 92.6 | 96.7 | 93.8 | 69.6 | 79.2 | 35.1 |
| extremes, outlier | 82.2 | 95.4 | 91.8 | 18.7 | 68.3 | 22.2 |
| least error, outlier | 90.6 | 95.8 | 92.9 | 16.3 | 70.0 | 21.6 |

(`python -m benchmarks.calibration`)
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from models.layers import Layer
from objectives.fake_quantize import INPUT_MAX, asymmetric_range, fake_quantize
from objectives.quantizers import layer_input

CALIBRATION_BATCH = 256
"""Inputs in a forward pass: no result depends on it but by rounding."""

RangeRule = Literal["percentile", "extremes", "least_error"]
RANGE_RULES: tuple[RangeRule, ...] = get_args(RangeRule)

OUTLIERS = 0.01
"""Share of inputs whose extremes are left out of a percentile."""
FEWEST_WITH_OUTLIERS = 20
"""Of fewer inputs none is left out."""
SHARES = tuple(0.9**step for step in range(40))
"""Of the extremes, that are tried for the least error."""
SAMPLE_OF_BATCH = 2**18
"""Numbers of a batch that an error is taken over."""

PATCHED_INPUTS = 16
"""Inputs whose patches are made at a time: those of 256 images can take gigabytes."""


def visit_inputs(
    network: nn.Module,
    layers: Mapping[str, Layer],
    inputs: Tensor,
    visit: Callable[[str, Tensor], None],
) -> None:
    """Call `visit` with the name of a layer and what it is given, for each batch of `inputs`.

    A layer that is given integers (an embedding), or nothing, or is not called is not visited.
    """

    def look(name: str, values: Tensor) -> None:
        if values.is_floating_point() and values.numel() > 0:
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
            network(batch.clone())  # which it may change
    for hook in hooks:
        hook.remove()


def input_ranges(
    network: nn.Module,
    layers: Mapping[str, Layer],
    inputs: Tensor,
    rule: RangeRule = "percentile",
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the range, each end (), in which to quantize what each visited layer is given."""
    lows: dict[str, list[Tensor]] = {}
    highs: dict[str, list[Tensor]] = {}
    samples: dict[str, list[Tensor]] = {}

    def look(name: str, values: Tensor) -> None:
        rows = values.reshape(len(values), -1)
        lows.setdefault(name, []).append(rows.amin(1))
        highs.setdefault(name, []).append(rows.amax(1))
        if rule == "least_error":
            step = -(-rows.numel() // SAMPLE_OF_BATCH)
            samples.setdefault(name, []).append(rows.flatten()[::step].clone())

    visit_inputs(network, layers, inputs, look)
    ranges = {}
    for name in lows:
        low, high = torch.cat(lows[name]).sort().values, torch.cat(highs[name]).sort().values
        left_out = 0
        if rule == "percentile" and len(low) >= FEWEST_WITH_OUTLIERS:
            left_out = math.ceil(len(low) * OUTLIERS)
        ranges[name] = low[left_out], high[len(high) - 1 - left_out]
        if rule == "least_error":
            ranges[name] = _least_error(torch.cat(samples[name]), *ranges[name])
    return ranges


def _least_error(sample: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return the share of [low, high] in which uint8 has the least squared error of `sample`."""

    def error(share: float) -> float:
        scale, zero_point = asymmetric_range(share * low, share * high)
        quantized = fake_quantize(sample, scale, zero_point, 0, INPUT_MAX)
        return float((quantized - sample).square().mean())

    share = min(SHARES, key=error)
    return share * low, share * high


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
