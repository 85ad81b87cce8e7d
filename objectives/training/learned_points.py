"""A weight that is read as the nearest of learned points (`objectives.stages.differentiable`)."""

import torch
from torch import Tensor, nn

from objectives.training.codebook import look_up, nearest_entries


class LearnedPoints(nn.Module):
    """Is read in the place of a weight, which stays: Q(v, p), where p is learned.

    Args:
        points: (k,) float32.
        mask: Shaped like the weight, True = keep; None keeps all.
    """

    def __init__(self, points: Tensor, mask: Tensor | None) -> None:
        super().__init__()
        self._points = nn.Parameter(points)
        self.register_buffer("_mask", mask)
        self._mask: Tensor | None

    def codebook(self) -> Tensor:
        """Return the points as they are now, ascending, (k,); with a mask 0 stands before them."""
        points = self._points.sort().values
        return points if self._mask is None else torch.cat([points.new_zeros(1), points])

    def assign(self, weight: Tensor) -> Tensor:
        """Return which entry of the codebook each weight is, int64, shaped like `weight`."""
        points = self._points.detach().sort().values
        nearest = nearest_entries(weight, points)
        return nearest if self._mask is None else (nearest + 1) * self._mask

    def forward(self, weight: Tensor) -> Tensor:
        """Return Q(v, p), shaped like `weight`."""
        codes = self.assign(weight.detach()).flatten()
        return look_up(self.codebook()[:, None], codes).view_as(weight)
