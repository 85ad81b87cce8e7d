"""Weights that share values: a codebook, codes that say which entry each block of a weight is.

Notation: k entries, d numbers in a block, n blocks; weight = codebook[codes], row by row.
"""

from typing import Any

import torch
from torch import Tensor, nn

from models.layers import Layer
from objectives.network.state import LayerFormat
from objectives.network.substitution import substitute_, substitute_for_good_


class _Lookup(torch.autograd.Function):
    """codebook[codes], whose gradient is, for each entry, the sum of its blocks' gradients.

    Source: Han et al. 2016, arXiv:1510.00149, section 3.3. Autograd's own backward pass of an
    index takes 20 times as long on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, codebook: Tensor, codes: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        ctx.save_for_backward(codes)
        ctx.entries = len(codebook)
        return codebook[codes]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401 - torch's
        (codes,) = ctx.saved_tensors
        columns = [
            torch.bincount(codes, weights=column, minlength=ctx.entries)
            for column in gradient.unbind(1)
        ]
        return torch.stack(columns, dim=1).to(gradient.dtype), None


def look_up(codebook: Tensor, codes: Tensor) -> Tensor:
    """Return codebook[codes], (n, d), differentiable in the codebook (k, d)."""
    looked_up: Tensor = _Lookup.apply(codebook, codes)  # type: ignore[no-untyped-call] # torch's
    return looked_up


def nearest_entries(values: Tensor, entries: Tensor) -> Tensor:
    """Return the number of the nearest of `entries` (k,), ascending, for each of `values`.

    Half-way goes to the lower one.
    """
    return torch.bucketize(values.contiguous(), (entries[1:] + entries[:-1]) / 2)


def without_unused(codebook: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the entries of `codebook` (k, d) that `codes` name, in their order, and new codes."""
    used, renumbered = codes.unique(return_inverse=True)
    return codebook[used.long()], renumbered


class SharedWeight(nn.Module):
    """Is read in the place of a weight: its codebook is learned, its codes stay.

    Args:
        codebook: (k, d) float32.
        codes: (C_out, blocks of a row) integers in [0, k).
        frozen_zero: Whether entry 0 is 0 and stays so, for what was pruned.
    """

    def __init__(self, codebook: Tensor, codes: Tensor, *, frozen_zero: bool) -> None:
        super().__init__()
        self._frozen = int(frozen_zero)
        self._learned = nn.Parameter(codebook[self._frozen :].clone())
        self.register_buffer("_zero", torch.zeros(self._frozen, codebook.shape[1]))
        self.register_buffer("_codes", codes.flatten().long())
        self._zero: Tensor
        self._codes: Tensor

    def codebook(self) -> Tensor:
        """Return the entries as they are now, (k, d)."""
        return torch.cat([self._zero, self._learned])

    def forward(self, weight: Tensor) -> Tensor:
        """Return the shared weight, shaped like `weight` (C_out, ...)."""
        return look_up(self.codebook(), self._codes).view_as(weight)


def attach_codebook_(layer: Layer, stored: LayerFormat, *, frozen_zero: bool) -> SharedWeight:
    """Make `layer` compute, in place, with the shared weight of `stored`, and train that alone."""
    assert stored.codebook is not None
    assert stored.codes is not None
    shared = SharedWeight(stored.codebook, stored.codes, frozen_zero=frozen_zero)
    substitute_(layer, shared)
    layer.weight.requires_grad_(False)
    return shared


def detach_codebook_(layer: Layer, shared: SharedWeight) -> Tensor:
    """Write the shared weight into `layer`, in place, and return the learned codebook."""
    substitute_for_good_(layer)
    layer.weight.requires_grad_(True)
    return shared.codebook().detach().cpu()


def round_codebook_(layer: Layer, stored: LayerFormat) -> Tensor:
    """Round the codebook to float16, write the weight into `layer`, in place, and return it.

    What float16 does not hold becomes the largest number that it does.
    """
    assert stored.codebook is not None
    assert stored.codes is not None
    largest = torch.finfo(torch.float16).max
    rounded = stored.codebook.clamp(-largest, largest).half().float()
    layer.weight.data = rounded[stored.codes.flatten().long()].view_as(layer.weight)
    return rounded


def round_bias_(layer: Layer, at_least: float = 0.0) -> Tensor | None:
    """Round the bias of `layer` to int8 steps, in place, and return the step, () or None.

    It is the smallest that int8 has room for, or `at_least` if that is larger.
    """
    bias = layer.bias
    if bias is None:
        return None
    largest = bias.detach().abs().max()
    step = torch.where(largest > 0, largest / 127, torch.ones_like(largest)).clamp(min=at_least)
    bias.data = (bias.detach() / step).round() * step
    return step.cpu()
