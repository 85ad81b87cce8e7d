"""A weight that is read as its sign times a scale: Eq. 1 of `objectives/stages/binary.py`."""

from typing import Any

import torch
from torch import Tensor, nn

from objectives.training.fake_quantize import per_channel


class _Sign(torch.autograd.Function):
    """The sign, 1 for 0, whose gradient passes where |w| <= 1."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        ctx.save_for_backward(weight)
        return torch.where(weight >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        (weight,) = ctx.saved_tensors
        passed: Tensor = gradient * (weight.abs() <= 1)
        return passed


class BinaryWeight(nn.Module):
    """Is read in the place of a weight: a * sign(w), and 0 where the mask is False.

    Args:
        mask: Shaped like the weight, True = keep.
        each_channel: Whether each output channel has its own a.
    """

    def __init__(self, mask: Tensor, *, each_channel: bool) -> None:
        super().__init__()
        self._each_channel = each_channel
        self.register_buffer("_mask", mask)
        self._mask: Tensor

    def scale(self, weight: Tensor) -> Tensor:
        """Return a of each output channel, (C_out,); 0 for a channel without weights."""
        sums = (weight.abs() * self._mask).flatten(1).sum(1)
        counts = self._mask.flatten(1).sum(1)
        if not self._each_channel:
            sums, counts = sums.sum().expand_as(sums), counts.sum().expand_as(counts)
        return sums / counts.clamp(min=1)

    def forward(self, weight: Tensor) -> Tensor:
        """Return a * b, shaped like `weight` (C_out, ...)."""
        sign: Tensor = _Sign.apply(weight)  # type: ignore[no-untyped-call] # torch's
        return per_channel(self.scale(weight), weight) * sign * self._mask
