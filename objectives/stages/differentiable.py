"""Differentiable quantization: the few values that a layer's weights may have are learned.

Notation: v the trained weights of a layer, which stay; p (k,) its points; Q(v, p) the nearest
point to each weight. The points begin at the quantiles of v. A step of training is

    w = Q(v, p)                 each weight is assigned anew, as the points have moved
    p <- p - lr dL(w) / dp      L is the loss, of labels or of a teacher's answers

where the gradient of a point is the sum over the weights that are assigned to it,

    dL / dp_i = sum over j with Q(v_j, p) = p_i of dL / dw_j                       (section 4)

An assignment itself has no gradient. With 2^b values, those pruned are one of them, 0, and stay. A
point that no weight is nearest to has no gradient either; the file leaves it out.

That is what sets it apart from `objectives.stages.cluster`, where k-means groups the weights once
and only then values are learned.

Source: Polino, Pascanu & Alistarh 2018, arXiv:1802.05668, section 4 ("differentiable
quantization"), with distillation by the plan's recipe. We differ from it: points belong to a layer
and are in its own units, where the paper scales buckets of weights to [0, 1]; all layers have the
same bits, where the paper gives more to those with larger gradients; Adam moves the points.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from models.checks import require
from models.layers import Layer
from objectives.context import Context
from objectives.network.state import LayerFormat, NetworkState, copy_weights
from objectives.network.substitution import substitute_, substitute_for_good_
from objectives.stages.base import TunedAsStored, Tuning
from objectives.suggests import Suggests
from objectives.training.codebook import round_bias_, without_unused
from objectives.training.k_means import initial_centroids
from objectives.training.learned_points import LearnedPoints
from objectives.training.loop import tune_

MOST_BITS = 8
SEARCHED_BITS = (1, 6)


@dataclass(frozen=True, kw_only=True)
class DifferentiableQuantization(TunedAsStored):
    """Learn the values that weights may have."""

    stage = "differentiable"
    former_name = "points"
    version = 2
    order = 7

    bits: int = 4
    """Bits of a code: a layer has 2^bits values, zero among them where it was pruned, without
    those that no weight has at the end."""

    def __post_init__(self) -> None:
        require(1 <= self.bits <= MOST_BITS, f"1 <= bits <= {MOST_BITS}", bits=self.bits)
        super().__post_init__()

    @property
    def described(self) -> str:
        """The method in a few words."""
        return "learned points"

    def suggest_wide(self, trial: Suggests, tuning: Tuning) -> Self:
        """Return these settings with the bits that `trial` suggests."""
        return replace(self, bits=trial.suggest_int("differentiable.bits", *SEARCHED_BITS))

    def apply(self, state: NetworkState, context: Context) -> NetworkState:
        """Return weights that are points, and each layer's format."""
        state = context.fold(state)
        network = context.network_of(state)
        layers = context.layers_of(network)
        points = {
            name: self._attach_(layer, state.masks.get(name)) for name, layer in layers.items()
        }
        tune_(network, context, self)
        formats = {}
        for name, layer in layers.items():
            codebook, codes = without_unused(
                points[name].codebook().detach()[:, None],
                points[name].assign(layer.weight.detach()).flatten(1),
            )
            formats[name] = LayerFormat(
                bits=self.bits,
                codebook=codebook,
                codes=codes.int(),
                bias_scale=round_bias_(layer),
            )
            substitute_for_good_(layer)
            layer.weight.requires_grad_(True)
        return replace(state, weights=copy_weights(network), formats=formats)

    def _attach_(self, layer: Layer, mask: Tensor | None) -> LearnedPoints:
        """Make `layer` compute, in place, with points at its quantiles, and train these alone."""
        weight = layer.weight.detach()
        kept = weight.flatten() if mask is None else weight[mask]
        count = 2**self.bits - (0 if mask is None else 1)
        if len(kept) == 0:
            kept = torch.zeros(1)
        begin = initial_centroids(kept, count, "density", torch.Generator())
        points = LearnedPoints(begin, mask)
        substitute_(layer, points)
        layer.weight.requires_grad_(False)
        return points
