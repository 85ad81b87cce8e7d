"""The ranges of what a network computes, in which it is rounded to integers.

A range is one of three. The `extremes` are the smallest and the largest number of a value; one
outlier among all training inputs makes steps so large that nothing else is told apart. The
`percentile` leaves out the one input in a hundred whose own smallest or largest number is most
extreme. `least_error` is the share of the extremes with the least squared error of uint8.

Accuracy on validation (1,200 digits, one seed) at 8 bits without fine-tuning, all on integers, 256
training images to calibrate with; then with one pixel of them at 255 instead of at most 1:

| | CNN | LeNet-5 | LeNet-300-100 | residual | attention | squeeze and excite |
| :-- | --: | --: | --: | --: | --: | --: |
| float32 | 92.7 | 96.6 | 93.6 | 69.2 | 79.3 | 34.4 |
| percentile | 92.6 | 96.7 | 93.6 | 69.9 | 79.2 | 35.2 |
| extremes | 92.6 | 96.7 | 93.8 | 68.3 | 79.4 | 35.2 |
| least error | 92.6 | 96.7 | 93.8 | 69.0 | 79.4 | 35.2 |
| percentile, outlier | 92.6 | 96.7 | 93.8 | 69.5 | 79.2 | 35.5 |
| extremes, outlier | 82.2 | 95.4 | 91.8 | 11.9 | 68.3 | 11.2 |
| least error, outlier | 90.6 | 95.8 | 92.9 | 22.9 | 70.0 | 10.9 |

(`python -m benchmarks.calibration`)
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from models.inputs import Given, returned
from objectives.errors import MeasurementError
from objectives.network.calls import CallWatch
from objectives.network.values import Values
from objectives.training.fake_quantize import INPUT_MAX, asymmetric_range, fake_quantize

CALIBRATION_BATCH = 256
"""Inputs in a forward pass: no result depends on it but by rounding."""

Range = tuple[Tensor, Tensor]
"""The least and the largest number, each ()."""
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


def visit_values(
    network: nn.Module,
    values: Values,
    names: Iterable[str],
    inputs: Given,
    visit: Callable[[str, Tensor], None],
) -> None:
    """Call `visit` with a name and what `network` computes there, for each batch of `inputs`."""
    called = values.by_call(names)

    def look(call: str, given: Tensor, _: object) -> Tensor:
        for name in called[call]:
            visit(name, given)
        return given

    network.eval()
    watch = CallWatch(network, look, called)
    with torch.no_grad():
        for batch in inputs.split(CALIBRATION_BATCH):
            returned(network, batch.clone())  # which it may change
    watch.remove()


def value_ranges(
    network: nn.Module,
    values: Values,
    names: Iterable[str],
    inputs: Given,
    rule: RangeRule = "percentile",
) -> dict[str, Range]:
    """Return the range in which to round each of the values `names` of `network`.

    Raises:
        MeasurementError: None of the `inputs` gives a number for one of them.
    """
    seen: dict[str, list[Range]] = defaultdict(list)
    samples: dict[str, list[Tensor]] = defaultdict(list)

    def look(name: str, given: Tensor) -> None:
        if given.numel() == 0:  # of experts that no input goes to
            return
        seen[name].append(extremes(given))
        if rule == "least_error":
            samples[name].append(given.flatten()[:: -(-given.numel() // SAMPLE_OF_BATCH)].clone())

    visit_values(network, values, names, inputs, look)
    ranges = {}
    for name in names:
        if name not in seen:
            raise MeasurementError(
                f"None of {len(inputs)} training inputs reaches '{name}' of the network's graph, "
                "whose range is read off them: calibrate with more (`calibration_images`)."
            )
        each = seen[name]
        lows, highs = (torch.cat(ends) for ends in zip(*each, strict=True))
        ranges[name] = range_of(lows, highs, rule)
        if rule == "least_error":
            ranges[name] = _least_error(torch.cat(samples[name]), *ranges[name])
    return ranges


def extremes(given: Tensor) -> Range:
    """Return the least and the largest number of each row of `given` (N, ...), each (N,)."""
    rows = given.reshape(len(given) if given.dim() else 1, -1)
    return rows.amin(1), rows.amax(1)


def range_of(lows: Tensor, highs: Tensor, rule: RangeRule = "percentile") -> Range:
    """Return the range of rows that have such extremes, each (N,)."""
    left_out = 0
    if rule == "percentile" and len(lows) >= FEWEST_WITH_OUTLIERS:
        left_out = math.ceil(len(lows) * OUTLIERS)
    low = lows.kthvalue(left_out + 1).values
    return low, highs.kthvalue(len(highs) - left_out).values


def _least_error(sample: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return the share of [low, high] in which uint8 has the least squared error of `sample`."""

    def error(share: float) -> float:
        scale, zero_point = asymmetric_range(share * low, share * high)
        quantized = fake_quantize(sample, scale, zero_point, 0, INPUT_MAX)
        return float((quantized - sample).square().mean())

    share = min(SHARES, key=error)
    return share * low, share * high
