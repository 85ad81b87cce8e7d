"""The two factors of a weight: Eqs. 1 to 3 of `objectives/stages/factorize.py`."""

import torch
from torch import Tensor

ROUNDING = 1e-6
"""Singular values of this share of the norm of W, and less, are the rounding of float32."""


def rank_of(singular_values: Tensor, energy: float) -> int:
    """Return the least rank that keeps the share `energy` of the squares, Eq. 3; 1 at least.

    Args:
        singular_values: (k,), descending.
        energy: In (0, 1].
    """
    squares = singular_values.double().square()
    left_out = squares.flip(0).cumsum(0).flip(0)  # by the ranks 0, 1, ...
    enough = max(1 - energy, ROUNDING**2) * squares.sum()
    return max(1, int((left_out > enough).sum()))


def factors(weight: Tensor, energy: float) -> tuple[Tensor, Tensor] | None:
    """Return (out, r) and (r, n) whose product is near `weight` (out, ...), see Eq. 2.

    None if they would hold no fewer numbers.
    """
    matrix = weight.detach().flatten(1)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    rank = rank_of(values, energy)
    if rank * sum(matrix.shape) >= matrix.numel():
        return None
    root = values[:rank].sqrt()
    return left[:, :rank] * root, root[:, None] * right[:rank]
