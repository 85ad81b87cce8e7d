"""Masks: which weights stay, by magnitude, and the callback that keeps the others at zero.

A mask is a bool tensor shaped like its weight, True = keep.
"""

import math
from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from models.classifier import StepCallback

Allocation = Literal["uniform", "global", "lamp"]
ALLOCATIONS: tuple[Allocation, ...] = get_args(Allocation)


def magnitude_mask(weight: Tensor, sparsity: float) -> Tensor:
    """Return a keep-mask over `weight` with exactly round(sparsity * n) zeros.

    The smallest magnitudes go; among equal ones the lower index goes first. Half-way cases round
    to even.
    """
    pruned_count = round(sparsity * weight.numel())
    magnitude = weight.detach().abs().flatten()
    if pruned_count == 0:
        return torch.ones_like(weight, dtype=torch.bool)
    threshold = _kth_smallest(magnitude, pruned_count)
    mask = magnitude > threshold
    kept_ties = weight.numel() - pruned_count - int(mask.count_nonzero())
    if kept_ties > 0:
        tied = (magnitude == threshold).nonzero().flatten()
        mask[tied[-kept_ties:]] = True
    return mask.view_as(weight)


def _kth_smallest(values: Tensor, k: int) -> Tensor:
    """Return the k-th smallest (from 1) of `values` (N,).

    On a CPU a sorted sample of N^(2/3) says between which two numbers it is all but certain to
    lie, so that only those between, without the many zeros of a pruned weight, are sorted out.

    Source: Floyd & Rivest 1975, "Expected time bounds for selection".
    """
    if values.device.type != "cpu":
        return values.kthvalue(k).values
    array = values.numpy()
    sample = np.sort(array[:: round(len(array) ** (1 / 3)) | 1])
    place, margin = k * len(sample) // len(array), 4 * math.isqrt(len(sample))
    low, high = sample[max(0, place - margin)], sample[min(len(sample) - 1, place + margin)]
    chosen = array > low
    rank = k - len(array) + int(np.count_nonzero(chosen))
    chosen &= array <= high
    between = array[chosen]
    if rank <= 0 and np.count_nonzero(array < low) < k:
        return torch.tensor(low)
    if not 1 <= rank <= len(between):  # the sample is not like the rest
        rank, between = k, array
    return torch.tensor(np.partition(between, rank - 1)[rank - 1])


def magnitude_masks(
    weights: Mapping[str, Tensor], sparsity: float, allocation: Allocation
) -> dict[str, Tensor]:
    """Return keep-masks over all `weights`, by layer.

    `uniform` gives every layer the same sparsity, as the paper does; `global` puts one threshold
    on the magnitudes of all layers together; `lamp` on their LAMP scores.
    """
    if allocation == "uniform":
        return {layer: magnitude_mask(weight, sparsity) for layer, weight in weights.items()}
    score = lamp_score if allocation == "lamp" else torch.abs
    together = torch.cat([score(weight.detach()).flatten() for weight in weights.values()])
    parts = magnitude_mask(together, sparsity).split([w.numel() for w in weights.values()])
    return {
        layer: part.view_as(weight)
        for (layer, weight), part in zip(weights.items(), parts, strict=True)
    }


def lamp_score(weight: Tensor) -> Tensor:
    """Return how much each weight is worth within its layer, shaped like `weight`, in [0, 1].

    score(u) = w_u^2 / sum of w_v^2 over all v with |w_v| >= |w_u|: what it costs to remove u once
    all smaller weights are gone. The largest weight of a layer scores 1, so no layer dies.

    Source: Lee et al. 2021, arXiv:2010.07611, Eq. 4.
    """
    squares = weight.flatten().double().square()
    ordered, order = squares.sort(stable=True)
    rest = ordered.flip(0).cumsum(0).flip(0)  # of this one and all larger ones
    scores = torch.where(rest > 0, ordered / rest, torch.zeros_like(rest))
    return torch.empty_like(scores).scatter_(0, order, scores).view_as(weight)


def apply_masks_(weights: Mapping[str, Tensor], masks: dict[str, Tensor]) -> None:
    """Zero, in place, the weights whose mask, bool or numbers, is False or 0."""
    with torch.no_grad():
        for layer, mask in masks.items():
            weights[layer].mul_(mask)


class MaskKeeper(StepCallback):
    """Sets masked weights to zero after each training step."""

    def __init__(self, weights: Mapping[str, Tensor], masks: dict[str, Tensor]) -> None:
        self._weights = weights
        self.masks = masks
        self._factors: dict[str, Tensor] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bring the masks to the weights' device and apply them."""
        self.keep(self.masks)

    def keep(self, masks: dict[str, Tensor]) -> None:
        """Apply `masks` now and from now on."""
        self.masks = {layer: mask.to(self._weights[layer].device) for layer, mask in masks.items()}
        # A product with numbers takes an eighth of the time of one with bool.
        self._factors = {
            layer: mask.to(self._weights[layer].dtype) for layer, mask in self.masks.items()
        }
        apply_masks_(self._weights, self._factors)

    def after_step(self, step: int, steps: float) -> None:
        """Apply the masks."""
        apply_masks_(self._weights, self._factors)
