"""How many bits a coder will take for integers, before they are coded.

Notation: Q (R, C) the integers of a weight as a matrix, a row for each output channel; p the share
of them that is not zero, p_r that of row r and p_c that of column c, each as if some elements of
the mean share had been seen before; n_k how many have the magnitude k.

That an element is not zero has the log-odds

    L_rc = logit(p_r) + logit(p_c) - logit(p)                                    (Eq. 1)

as rows and columns are independent evidence: a neuron that is nearly dead has few weights left, a
pixel of the margin is read by none. So an element takes, in bits,

    bits(0) = log2(1 + e^L)
    bits(k) = log2(1 + e^-L) + 1 - log2(n_k / sum of n)    for k = 1, 2, ...    (Eq. 2)

with 1 bit for the sign. The coder of `objectives.container` mixes these contexts and others, and
learns them while it codes; what is wanted here is not its size but its taste: which weight would
be cheaper, and by how much.

Source: the estimate from densities of rows and columns is ours; magnitudes by their entropy as in
Oktay et al. 2020, arXiv:1906.06624, section 3.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

MOST_LEVELS = 127
"""The largest magnitude that int8 has on both sides."""
PRIOR = 12.0
"""Elements of the mean share that a row or a column is taken to have had before."""
MOST_LOG_ODDS = 9.0
"""Nothing is surer than that."""


@dataclass(frozen=True, slots=True)
class RateModel:
    """What the elements of one weight cost (Eq. 1 and 2)."""

    row: Tensor
    """logit(p_r) - logit(p) / 2, (R, 1)."""
    column: Tensor
    """logit(p_c) - logit(p) / 2, (1, C)."""
    magnitude: Tensor
    """Bits of sign and magnitude k in place k, (MOST_LEVELS + 2,); 0 in place 0; ascending."""

    @classmethod
    def of(cls, integers: Tensor) -> "RateModel":
        """Return the model of a weight that has these integers, whole numbers (R, C)."""
        is_set = (integers != 0).float()
        rows, columns = is_set.shape
        mean = (is_set.sum() + 0.5) / (is_set.numel() + 1)
        half = mean.logit() / 2
        row = (is_set.sum(1, keepdim=True) + PRIOR * mean) / (columns + PRIOR)
        column = (is_set.sum(0, keepdim=True) + PRIOR * mean) / (rows + PRIOR)
        kinds = MOST_LEVELS + 2
        found = integers.abs().flatten().clamp(max=kinds - 1).long().bincount(minlength=kinds)
        rare = 0.5 ** torch.arange(kinds, device=integers.device).clamp(max=30)
        counts = (found + rare)[1:]
        bits = 1 - (counts / counts.sum()).log2()
        magnitude = functional.pad(bits.cummax(0).values, (1, 0))
        return cls(row.logit() - half, column.logit() - half, magnitude)

    def log_odds(self) -> Tensor:
        """Return L, (R, C)."""
        return (self.row + self.column).clamp(-MOST_LOG_ODDS, MOST_LOG_ODDS)

    def bits(self, integers: Tensor) -> float:
        """Return how many bits all `integers` (R, C) take."""
        zero = torch.where(integers == 0, self.log_odds(), -self.log_odds())
        others = self.magnitude[integers.abs().clamp(max=MOST_LEVELS + 1).long()]
        return float(functional.softplus(zero).sum() / math.log(2) + others.sum())

    def slope(self, magnitudes: Tensor) -> Tensor:
        """Return by how many bits an element grows dearer with its magnitude, shaped like it.

        Between two whole numbers it grows evenly.

        Args:
            magnitudes: |weight| in steps, (R, C).
        """
        below = magnitudes.floor().clamp(max=MOST_LEVELS).long()
        grown = self.magnitude[below + 1] - self.magnitude[below]
        from_zero = self.magnitude[1] - self.log_odds() / math.log(2)
        return torch.where(below == 0, from_zero, grown)
