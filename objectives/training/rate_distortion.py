r"""Rate-distortion quantization: give each weight the integer that is worth its bits.

Notation: W (R, C) a weight as a matrix, W^ = s Q what is stored, x (C,) what a row is multiplied
with, S = E[x x^T] over training inputs, g_r how much the answers suffer from an error of output r
(`objectives.training.curvature`), lambda what a bit may cost. Wanted are the integers Q with least

    sum over r of g_r / 2 * (w_r - w^_r) S (w_r - w^_r)^T  +  lambda * bits(Q)   (Eq. 1)

Columns are decided one after the other. What the rest of a row cannot make good of an error of
column j is, with S^-1 = U^T U and U upper triangular,

    e = (w_j - w^_j) / U_jj        and the others become   w_k - e U_jk, k > j   (Eq. 2)

so that the first term of Eq. 1 is g_r / 2 times the sum of e^2: each column takes, of zero and the
two integers around w_j / s, the one with least g_r e^2 / 2 + lambda * bits.

Bits are those of `objectives.training.rate`, which has to know the integers: they are decided
`PASSES` times, each time with the bits of what was found before.

Source: Frantar et al. 2022, arXiv:2210.17323 (GPTQ), Eq. 2 and section 3.3; the rate as in
trellis-free rate-distortion optimized quantization of DeepCABAC, Wiedemann et al. 2019,
arXiv:1907.11900, Eq. 13. That both are in one, and weighed by g_r, is ours.
"""

import math

import torch
from torch import Tensor

from objectives.training.rate import MOST_LEVELS, RateModel

PASSES = 2
DAMPING = 0.1
"""Share of the mean of S's diagonal that is added to it; GPTQ has 0.01, for larger networks."""
COLUMNS_AT_ONCE = 128
"""The others follow after so many; no result depends on it but by rounding."""


def quantize_rate_distortion(
    weight: Tensor,
    step: Tensor,
    moments: Tensor,
    sensitivity: Tensor,
    rate: float,
    keep: Tensor | None = None,
) -> Tensor:
    """Return the integers Q, (R, C) float32.

    Args:
        weight: W, (R, C).
        step: s, ().
        moments: S, (C, C), or of shorter blocks of a row, (d, d), which all are alike.
        sensitivity: g, (R,), not negative.
        rate: lambda.
        keep: What may be other than zero, bool (R, C); None for all.
    """
    rows, columns = weight.shape
    upper = _upper(moments)
    blocks = weight.reshape(-1, len(upper))  # (R * C / d, d)
    weights = sensitivity.repeat_interleave(columns // len(upper)) / 2
    kept = torch.ones_like(blocks) if keep is None else keep.to(blocks.dtype).view_as(blocks)
    found = (weight / step).round().clamp(-MOST_LEVELS, MOST_LEVELS)
    for _ in range(PASSES if rate > 0 else 1):
        model = RateModel.of(found)
        not_zero = -rate * model.log_odds() / math.log(2)
        found = _decided(
            blocks / step,
            kept,
            upper,
            weights * float(step) ** 2,
            not_zero.reshape(blocks.shape),
            rate * model.magnitude,
        ).reshape(rows, columns)
    return found


def _upper(moments: Tensor) -> Tensor:
    """Return U of Eq. 2, (d, d)."""
    damped = moments.double()
    mean = damped.diagonal().mean()
    damped = damped + torch.eye(len(damped), dtype=damped.dtype) * (DAMPING * mean + 1e-12)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    upper: Tensor = torch.linalg.cholesky(inverse, upper=True).float()
    return upper


def _decided(
    x: Tensor, kept: Tensor, upper: Tensor, weights: Tensor, not_zero: Tensor, magnitude: Tensor
) -> Tensor:
    """Return the integers of rows `x` (n, d), weights in steps, column by column.

    Args:
        x: Rows, in steps.
        kept: 1 where another integer than 0 is allowed, (n, d).
        upper: U, (d, d).
        weights: What e^2 costs, (n,).
        not_zero: What it costs more to be not zero than to be zero, sign and magnitude left out.
        magnitude: What sign and magnitude cost, by magnitude.
    """
    x, decided = x.clone(), torch.zeros_like(x)
    for first in range(0, len(upper), COLUMNS_AT_ONCE):
        last = min(first + COLUMNS_AT_ONCE, len(upper))
        errors = torch.zeros(len(x), last - first)
        for column in range(first, last):
            wanted, diagonal = x[:, column], upper[column, column]
            near = wanted.abs().floor()
            choices = torch.stack([torch.zeros_like(near), near, near + 1]).clamp(max=MOST_LEVELS)
            errors_of = (wanted.abs() - choices) / diagonal
            costs = weights * errors_of.square() + magnitude[choices.long()]
            costs += torch.where(choices > 0, not_zero[:, column], 0.0)
            best = costs.argmin(0, keepdim=True)
            chosen = choices.gather(0, best)[0] * kept[:, column]
            decided[:, column] = chosen * wanted.sign()
            error = (wanted - decided[:, column]) / diagonal
            errors[:, column - first] = error
            x[:, column + 1 : last] -= error[:, None] * upper[column, column + 1 : last]
        x[:, last:] -= errors @ upper[first:last, last:]
    return decided
