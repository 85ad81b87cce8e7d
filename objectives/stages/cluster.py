"""Cluster: let the weights of a layer share a few values, and fine-tune those values.

The weights of each layer that are not pruned are put into k groups by k-means, so that the sum of
their squared distances to the group's centroid is least (Eq. 2 of the paper); each weight is then
its group's centroid. Fine-tuning moves the centroids: the gradient of a centroid is the sum of
its weights' gradients (Eq. 3). What was pruned stays zero, which is one more value.

With b bits a layer has 2^b values: 2^b - 1 centroids and zero where it was pruned; fewer if it has
fewer different weights.

Source: Han, Mao & Dally 2016, arXiv:1510.00149 ("Deep Compression"), section 3. We differ from it:
no group stays empty. Linear centroids of a pruned layer begin between its two sides, too, where no
weight is. On our CNN and MNIST at 90 % zeros, with 2 to 4 bits and two seeds, filling the groups
gives 0.10 points of validation accuracy for 0.7 % more bytes. Beginning at quantiles (density)
is as accurate, and takes 1.6 % more bytes, over these and 75 % zeros: linear stays the default.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import torch
from torch import Tensor

from models.checks import require
from objectives.context import Context
from objectives.network.state import LayerFormat, NetworkState, copy_weights
from objectives.stages.base import TunedAsStored, Tuning
from objectives.suggests import Suggests
from objectives.training.codebook import attach_codebook_, detach_codebook_, round_bias_
from objectives.training.k_means import INITIALIZATIONS, Initialization, initial_centroids, k_means
from objectives.training.loop import stage_seed, tune_

MOST_BITS = 8
SEARCHED_BITS = (2, 6)


@dataclass(frozen=True, kw_only=True)
class Clustering(TunedAsStored):
    """Let weights share a few values."""

    stage = "cluster"
    version = 2
    order = 2

    bits: int = 4
    """Bits of a code: a layer has 2^bits values, zero among them where it was pruned."""
    layers: Mapping[str, int] = field(default_factory=dict)
    """Bits of layers by name; the others get `bits`."""
    initialization: Initialization = "linear"
    """Where k-means begins."""

    def __post_init__(self) -> None:
        for bits in (self.bits, *self.layers.values()):
            require(1 <= bits <= MOST_BITS, f"1 <= bits <= {MOST_BITS}", bits=bits)
        require(
            self.initialization in INITIALIZATIONS,
            f"initialization in {INITIALIZATIONS}",
            initialization=self.initialization,
        )
        super().__post_init__()

    @property
    def described(self) -> str:
        """The method in a few words."""
        return f"shared, k-means ({self.initialization})"

    def suggest_wide(self, trial: Suggests, tuning: Tuning) -> Self:
        """Return these settings with the bits that `trial` suggests."""
        return replace(self, bits=trial.suggest_int("cluster.bits", *SEARCHED_BITS))

    def bits_of(self, layer: str) -> float:
        """Return the bits of a code of `layer`."""
        return self.layers.get(layer, self.bits)

    def apply(self, state: NetworkState, context: Context) -> NetworkState:
        """Return shared weights, on their codebooks, and each layer's format."""
        state = context.fold(state)
        network = context.network_of(state)
        layers = context.layers_of(network)
        generator = torch.Generator().manual_seed(stage_seed(context.seed, self.stage))
        formats = {
            name: self._group(name, layer.weight.detach(), state.masks.get(name), generator)
            for name, layer in layers.items()
        }
        shared = {
            name: attach_codebook_(layers[name], stored, frozen_zero=name in state.masks)
            for name, stored in formats.items()
        }
        tune_(network, context, self)
        formats = {
            name: replace(
                stored,
                codebook=detach_codebook_(layers[name], shared[name]),
                bias_scale=round_bias_(layers[name]),
            )
            for name, stored in formats.items()
        }
        return replace(state, weights=copy_weights(network), formats=formats)

    def _group(
        self, name: str, weight: Tensor, mask: Tensor | None, generator: torch.Generator
    ) -> LayerFormat:
        """Return codebook, zero first where it was pruned, and codes of a layer's `weight`."""
        bits = self.layers.get(name, self.bits)
        keep = torch.ones_like(weight, dtype=torch.bool) if mask is None else mask
        values = weight[keep]
        zeros = 0 if mask is None else 1
        if len(values) == 0:
            values = torch.zeros(1)
        begin = initial_centroids(values, 2**bits - zeros, self.initialization, generator)
        centroids, groups = k_means(values, begin)
        codes = torch.zeros(weight.shape, dtype=torch.int32)
        codes[keep] = groups[: int(keep.sum())].int() + zeros
        return LayerFormat(
            bits=bits,
            codebook=torch.cat([torch.zeros(zeros), centroids])[:, None],
            codes=codes.flatten(1),
        )
