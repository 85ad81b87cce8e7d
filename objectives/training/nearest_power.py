"""A weight that is read as the nearest powers of two.

Equations are those of `objectives/stages/power_of_two.py`.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from objectives.training.codebook import nearest_entries


def powers_of_two(largest: float, bits: int) -> Tensor:
    """Return P for weights of at most `largest`, (2^bits - 1,), ascending: Eqs. 1 and 2."""
    highest = math.floor(math.log2(4 / 3 * largest)) if largest > 0 else 0
    exponents = torch.arange(highest - (2 ** (bits - 1) - 2), highest + 1)
    powers = torch.exp2(exponents.double()).float()
    return torch.cat([-powers.flip(0), torch.zeros(1), powers])


class _StraightThrough(torch.autograd.Function):
    """The nearest of ascending entries, with the gradient of the identity."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, entries: Tensor) -> Tensor:  # noqa: ANN401, ARG004 - torch's
        return entries[nearest_entries(weight, entries)]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401, ARG004 - torch's
        return gradient, None


class NearestPower(nn.Module):
    """Is read in the place of a weight: each is the nearest of P, as it moves."""

    def __init__(self, powers: Tensor) -> None:
        super().__init__()
        self.register_buffer("_powers", powers)
        self._powers: Tensor

    def forward(self, weight: Tensor) -> Tensor:
        """Return the rounded weight, shaped like `weight`."""
        rounded: Tensor = _StraightThrough.apply(  # type: ignore[no-untyped-call] # torch's
            weight, self._powers
        )
        return rounded
