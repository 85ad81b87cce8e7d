"""Quantize a weight with scales that are learned: s = s_0 * e^g, g the logarithm of a gain.

With x^ as in Eq. 1 of `objectives/training/fake_quantize.py`, rounding taken as passing gradients
straight through and "inside" as 1 where clamping changes nothing and 0 elsewhere,

    d x^ / d x = inside,   d x^ / d g = x^ - x * inside                           (Eq. 2)

Source: Esser et al. 2020, arXiv:1902.08153, Eq. 3, there by s; through its logarithm Adam's step
is relative to the scale.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from objectives.training.fake_quantize import dequantized_, per_channel, unclamped

PART = 2**18
"""Weights that each thread of a CPU quantizes at a time: a megabyte."""


def quantize_learning(
    x: Tensor, log_gain: Tensor, scale: Tensor, zero_point: Tensor | None, low: int, high: int
) -> Tensor:
    """Do as `fake_quantize` with a scale that has a gain; differentiable in `x` and `log_gain`.

    Args:
        x: Weights, (C_out, ...).
        log_gain: (C_out,), or (1,) for all channels together.
        scale: Before its gain, (C_out, 1, ...).
        zero_point: (C_out, 1, ...), None for 0.
        low: q_min.
        high: q_max.
    """
    function: Any = _LearnedScale
    result: Tensor = function.apply(x, log_gain, scale, zero_point, low, high)
    return result


class _LearnedScale(torch.autograd.Function):
    """In place and with a backward pass by hand, which keeps nothing but x and x^.

    Left to autograd, a step of AlexNet's QAT took 66 s an epoch and five copies of each weight.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's
        x: Tensor,
        log_gain: Tensor,
        initial_scale: Tensor,
        zero_point: Tensor | None,
        low: int,
        high: int,
    ) -> Tensor:
        scale = initial_scale * per_channel(log_gain.exp(), x)
        result = torch.empty_like(x)
        for xs, real, s, z in _in_parts(x, result, scale, zero_point):
            dequantized_(unclamped(xs, s, z, out=real).clamp_(low, high), s, z)
        ctx.save_for_backward(x, result, scale, zero_point)
        ctx.range, ctx.gains = (low, high), log_gain.shape
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - torch's
        x, result, scale, zero_point = ctx.saved_tensors
        low, high = ctx.range
        # What rounds to q_min ... q_max lies within `reach` of `middle`.
        reach = (high - low + 1) / 2 * scale
        middle = None if zero_point is None else ((high + low) / 2 - zero_point) * scale
        of_x, of_gain = torch.empty_like(x), torch.empty_like(scale)
        parts = _in_parts(x, result, gradient, of_x, of_gain, reach, middle)
        for xs, real, given, inside, gain, r, m in parts:
            if m is None:
                torch.abs(xs, out=inside)
            else:
                torch.sub(xs, m, out=inside).abs_()
            inside.le_(r)  # as a number, which multiplies in an eighth of the time of a bool
            passed = inside.mul_(given)
            slope = torch.mul(given, real).addcmul_(passed, xs, value=-1)
            gain.copy_(slope.sum_to_size(gain.shape))
        return of_x, of_gain.view(-1).sum_to_size(ctx.gains), None, None, None, None


def _in_parts(weight: Tensor, *others: Tensor | None) -> Iterator[tuple[Any, ...]]:
    """Give all in parts along the first axis, channels, that caches hold.

    The passes over AlexNet's weights take twice as long in memory. What is small, or is on a GPU,
    is given whole.
    """
    channels, most = len(weight), PART * torch.get_num_threads()
    if weight.device.type != "cpu" or weight.numel() <= most or channels == 1:
        yield weight, *others
        return
    at_once = max(1, most * channels // weight.numel())
    for first in range(0, channels, at_once):
        part = slice(first, first + at_once)
        yield weight[part], *(None if each is None else each[part] for each in others)
