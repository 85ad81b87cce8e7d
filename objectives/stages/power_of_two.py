"""Powers of two: a weight is 0 or +-2^e, so that multiplying by it is a shift.

Notation: w a weight, b bits of a code. With b bits there are 2^b - 1 values,

    P = {0} and {+-2^e for e_1 <= e <= e_2},   e_1 = e_2 - (2^(b-1) - 2)         (Eq. 1)

and the largest exponent of a layer is that of its largest weight, rounded to a power of two,

    e_2 = floor(log2(4/3 max |w|))                                              (Eq. 2)

since 3/4 2^e and 3/2 2^e are as far from 2^e as from the next lower and higher power. A weight is
the nearest of P. While the network is fine-tuned it computes with that, and the rounding passes
gradients straight through to float weights behind; P stays. What was pruned is 0.

The file holds a code for each weight and the values of P, once for a layer; inputs stay floats.

Source: Hashemi et al. 2017, arXiv:1612.03940, whose weights have 6 bits; Eq. 2 and the rounding as
in Zhou et al. 2017, arXiv:1702.03044, section 2.1, whose codes spend a bit on 0 and have 2^(b-2)
exponents. Zhou et al. round a share of the weights at a time and train the others; here all are
rounded at each step.
"""

from dataclasses import dataclass, replace
from typing import Self

from models.checks import require
from objectives.context import Context
from objectives.network.state import LayerFormat, NetworkState, copy_weights
from objectives.network.substitution import substitute_, substitute_for_good_
from objectives.stages.base import TunedAsStored, Tuning
from objectives.suggests import Suggests
from objectives.training.codebook import nearest_entries, round_bias_
from objectives.training.loop import tune_
from objectives.training.masks import MaskKeeper
from objectives.training.nearest_power import NearestPower, powers_of_two

FEWEST_BITS, MOST_BITS = 2, 6
"""More would have exponents that float32 does not."""


@dataclass(frozen=True, kw_only=True)
class PowerOfTwo(TunedAsStored):
    """Let each weight be 0 or a power of two with a sign."""

    stage = "power_of_two"
    version = 1
    order = 5

    bits: int = 4
    """Bits of a code: 2 are 0 and one power with its two signs, 6 are 31 powers."""

    def __post_init__(self) -> None:
        require(
            FEWEST_BITS <= self.bits <= MOST_BITS,
            f"{FEWEST_BITS} <= bits <= {MOST_BITS}",
            bits=self.bits,
        )
        super().__post_init__()

    @property
    def described(self) -> str:
        """The method in a few words."""
        return "0 and powers of two"

    def suggest_wide(self, trial: Suggests, tuning: Tuning) -> Self:
        """Return these settings with the bits that `trial` suggests."""
        return replace(self, bits=trial.suggest_int("power_of_two.bits", FEWEST_BITS, MOST_BITS))

    def apply(self, state: NetworkState, context: Context) -> NetworkState:
        """Return weights that are powers of two, and each layer's format."""
        state = context.fold(state)
        network = context.network_of(state)
        layers = context.layers_of(network)
        powers = {}
        for name, layer in layers.items():
            largest = float(layer.weight.detach().abs().max())
            powers[name] = powers_of_two(largest, self.bits)
            substitute_(layer, NearestPower(powers[name]))
        weights = {name: layer.weight for name, layer in layers.items()}
        tune_(network, context, self, callbacks=[MaskKeeper(weights, state.masks)])
        formats = {}
        for name, layer in layers.items():
            substitute_for_good_(layer)
            codes = nearest_entries(layer.weight.detach(), powers[name])
            formats[name] = LayerFormat(
                bits=self.bits,
                codebook=powers[name][:, None],
                codes=codes.flatten(1).int(),
                bias_scale=round_bias_(layer),
            )
        return replace(state, weights=copy_weights(network), formats=formats)
