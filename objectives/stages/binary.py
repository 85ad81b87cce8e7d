"""Binary weights: each weight is +a or -a, with one a for an output channel or for a layer.

Notation: w (C_out, n) a layer's weight, n weights for a channel. Closest to w, in squared
distance, among all a * (+-1) are

    b = sign(w),   a = mean |w|                                                       (Eq. 1)

While the network is fine-tuned it computes with a * b, and float weights behind are trained: a
passes gradients as it is, sign passes them straight through where |w| <= 1, and nowhere else:

    dL/dw = dL/da sign(w) / n  +  a dL/d(ab) [|w| <= 1],   dL/da = sum of b dL/d(ab)

Pruned weights are 0 and do not count in a, so that the layer has three values then: log2 3 bits
for Eq. 5. The first and the last layer, which bear it least, may be kept as floats.

The file holds -1 and 1 as 2-bit integers, the narrowest that ONNX has, of which gzip makes little
more than one bit; inputs stay floats.

Source: Rastegari et al. 2016, arXiv:1603.05279 ("XNOR-Net"), section 3.1, Binary-Weight-Networks,
whose dL/da has but the weight's own part of the sum; `per_channel=False` has the binary weights of
Hashemi et al. 2017, arXiv:1612.03940, with a scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

import torch

from models.checks import require
from objectives.context import Context
from objectives.network.state import LayerFormat, NetworkState, copy_weights
from objectives.network.substitution import substitute_, substitute_for_good_
from objectives.stages.base import TunedAsStored, Tuning
from objectives.suggests import Suggests
from objectives.training.binary_weight import BinaryWeight
from objectives.training.loop import tune_
from objectives.training.masks import MaskKeeper

Ends = Literal["none", "first", "last", "both"]
ENDS: tuple[Ends, ...] = get_args(Ends)


@dataclass(frozen=True, kw_only=True)
class BinaryWeights(TunedAsStored):
    """Let each weight be one of two numbers."""

    stage = "binary"
    version = 1
    order = 6

    per_channel: bool = True
    """Whether each output channel has its own a."""
    keep: Ends = "none"
    """Which of the first and the last layer stay floats, the last before the first, as long as
    one layer is left to be binary."""

    def __post_init__(self) -> None:
        require(self.keep in ENDS, f"keep in {ENDS}", keep=self.keep)
        super().__post_init__()

    @property
    def described(self) -> str:
        """The method in a few words."""
        return f"binary, per {'channel' if self.per_channel else 'tensor'}"

    def suggest_wide(self, trial: Suggests, tuning: Tuning) -> Self:
        """Return these settings with the scales and the kept layers that `trial` suggests."""
        return replace(
            self,
            per_channel=trial.suggest_categorical("binary.per_channel", (True, False)),
            keep=trial.suggest_categorical("binary.keep", ENDS),
        )

    def binary_layers(self, names: Sequence[str]) -> list[str]:
        """Return the layers of `names`, in the network's order, that become binary."""
        rest = list(names)
        if self.keep in {"last", "both"} and len(rest) > 1:
            rest = rest[:-1]
        if self.keep in {"first", "both"} and len(rest) > 1:
            rest = rest[1:]
        return rest

    def apply(self, state: NetworkState, context: Context) -> NetworkState:
        """Return binary weights and the formats of their layers."""
        state = context.fold(state)
        network = context.network_of(state)
        layers = context.layers_of(network)
        names = self.binary_layers(list(layers))
        binary = {}
        for name in names:
            ones = torch.ones_like(layers[name].weight, dtype=torch.bool)
            mask = state.masks.get(name, ones)
            binary[name] = BinaryWeight(mask, each_channel=self.per_channel)
            substitute_(layers[name], binary[name])
        weights = {name: layer.weight for name, layer in layers.items()}
        tune_(network, context, self, callbacks=[MaskKeeper(weights, state.masks)])
        formats = {}
        for name in names:
            scale = binary[name].scale(layers[name].weight.detach())
            substitute_for_good_(layers[name])
            formats[name] = LayerFormat(
                bits=1,
                weight_scale=torch.where(scale > 0, scale, torch.ones_like(scale)),
                weight_zero_point=torch.zeros(len(scale), dtype=torch.int8),
            )
        return replace(state, weights=copy_weights(network), formats=formats)
