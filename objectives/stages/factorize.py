"""Factorize: put two thin layers in the place of a thick one, and fine-tune them.

Notation: W (out, n) the weight of a layer as a matrix, n = inputs of a dense layer, inputs *
kernel of a convolution; W = U diag(s) V its singular value decomposition, s_1 >= s_2 >= ... >= 0.
Of all matrices of rank r the nearest to W, in the sum of squares, is

    W_r = U[:, :r] diag(s[:r]) V[:r]                                               (Eq. 1)

and it leaves out sum of s_i^2 for i > r. A layer y = W x + b becomes two,

    h = diag(sqrt(s[:r])) V[:r] x,    y = U[:, :r] diag(sqrt(s[:r])) h + b         (Eq. 2)

with (out + n) r numbers instead of out n; the singular values are shared by both, so that
neither is larger than the other. Of a convolution the first has the kernel, the stride, the
padding and r output channels, the second is 1x1. The rank is the least that keeps the share
`energy` of all the squares,

    r = min { r : sum of s_i^2, i <= r  >=  energy * sum of s_i^2 }                (Eq. 3)

A layer whose two would hold no fewer numbers stays as it is, as do convolutions in groups.

Source: Eckart & Young 1936 (Eq. 1); Denton et al. 2014, arXiv:1404.0736, section 3.2 (dense
layers of trained networks; its convolutions have another form, clustered outer products); Zhang et
al. 2015, arXiv:1411.4229, section 2.1 (a convolution as one with fewer channels and a 1x1).
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import nn

from models.checks import require
from models.inputs import returned
from models.layers import Layer
from objectives.context import Context
from objectives.errors import TrialError
from objectives.network.state import NetworkState, copy_weights
from objectives.network.structure import can_be_split, replace_layer_, split_layer
from objectives.stages.base import FineTuned, Tuning
from objectives.suggests import Suggests
from objectives.training.loop import tune_
from objectives.training.low_rank import factors

SEARCHED_ENERGY = (0.3, 0.99)


@dataclass(frozen=True, kw_only=True)
class Factorization(FineTuned):
    """Put two thin layers in the place of each layer that gets smaller by it."""

    stage = "factorize"
    version = 1
    kind = "structure"
    order = 2

    energy: float = 0.9
    """Share of the sum of squared singular values that each layer keeps, in (0, 1]."""

    def __post_init__(self) -> None:
        require(0 < self.energy <= 1, "0 < energy <= 1", energy=self.energy)
        super().__post_init__()

    @property
    def described(self) -> str:
        """The method in a few words."""
        return f"factors of {100 * self.energy:.3g} % energy"

    def suggest_wide(self, trial: Suggests, tuning: Tuning) -> Self:
        """Return these settings with the energy that `trial` suggests."""
        return replace(self, energy=trial.suggest_float("factorize.energy", *SEARCHED_ENERGY))

    @classmethod
    def attempt(cls, context: Context) -> None:
        """Raise `TrialError` if the network computes with the weight of a layer itself."""
        cls(energy=0.5, epochs=0, batch_size=1, lr=1.0).apply(context.untrained(), context)

    def apply(self, state: NetworkState, context: Context) -> NetworkState:
        """Return the weights with `X.0` and `X.1` in the place of each layer X that was split."""
        network = context.network_of(state)
        for layer in context.layers_of(network).values():
            if can_be_split(layer.module) and not layer.is_tied:
                self._split_(network, layer)
        _check(network, context)
        tune_(network, context, self)
        return NetworkState(weights=copy_weights(network))

    def _split_(self, network: nn.Module, layer: Layer) -> None:
        """Put the two factors of `layer` in its place, if they are smaller."""
        found = factors(layer.weight, self.energy)
        if found is None:
            return
        second, first = found
        split = split_layer(layer.module, rank=len(first))
        with torch.no_grad():
            for part, values in zip(split, (first, second), strict=True):
                part.get_parameter("weight").copy_(values.view_as(part.get_parameter("weight")))
            if layer.bias is not None:
                split[1].get_parameter("bias").copy_(layer.bias)
        replace_layer_(network, layer.module, split)


def _check(network: nn.Module, context: Context) -> None:
    """Raise `TrialError` if the network computes with a split layer's own weight."""
    try:
        with torch.no_grad():
            returned(network.eval(), context.data.training_inputs(2))
    except AttributeError as err:
        raise TrialError(f"The network cannot be factorized, as it reads layers: {err}.") from err
