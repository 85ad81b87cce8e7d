"""Mixed: give each layer its own bits, the most to those that need them most.

Of L layers, layer l has n_l weights that are not zero, and b_l bits for each. Its sensitivity
S_l(b) is how far the network's answers move when this layer alone is rounded to b bits:

    S_l(b) = mean over inputs of KL(softmax(z) || softmax(z_l,b))                (Eq. 1)

with z the logits and z_l,b those with layer l rounded. Wanted are bits with least sum of S_l(b_l)
among those that fit the budget of bytes

    sum of n_l * b_l / 8  <=  B = mean_bits * sum of n_l / 8                     (Eq. 2)

This is a multiple-choice knapsack, solved by dynamic programming with sizes in 20,000ths of the
budget; so a large layer gets the bit that a small one would waste, which a greedy search down from
8 bits leaves over. Then the network is fine-tuned while quantized as in
`objectives.stages.quantize`, until its validation accuracy is within `stop_within_pp` of what it
was before (accuracy-aware training), at most `qat_epochs`.

Source: NNCF, Kozlov et al. 2020, arXiv:2002.08679, sections 3.1 (mixed precision by layer
sensitivity) and 3.5 (accuracy-aware training). NNCF weighs the rounding error by the trace of the
Hessian (HAWQ-v2, Dong et al. 2020, arXiv:1911.03852); Eq. 1 measures what the trace estimates.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from models.checks import require
from objectives.context import Context
from objectives.network.state import NetworkState
from objectives.stages.base import Stage, Tuning
from objectives.stages.quantize import Quantization
from objectives.suggests import Suggests
from objectives.training.bit_allocation import choose_bits
from objectives.training.sensitivity import BITS, bits_divergence

SEARCHED_MEAN_BITS = (2.0, 8.0)


@dataclass(frozen=True, kw_only=True)
class MixedPrecision(Stage):
    """Store each layer's weights with bits of its own, under a budget."""

    stage = "mixed"
    version = 2
    kind = "representation"
    order = 1
    puts_on_integers = True
    looks_at_score = True

    mean_bits: float
    """Budget: bits of a mean remaining weight, from 2 to 8 (Eq. 2)."""
    stop_within_pp: float | None = None
    """Percentage points of validation accuracy that may be missing when fine-tuning stops before
    its last epoch; None never stops."""
    qat_epochs: int
    """Passes over the training part while quantized, at most; 0 only rounds."""
    batch_size: int
    """Images in a step."""
    lr: float
    """Adam's learning rate."""

    def __post_init__(self) -> None:
        low, high = min(BITS), max(BITS)
        require(
            low <= self.mean_bits <= high,
            f"{low} <= mean_bits <= {high}",
            mean_bits=self.mean_bits,
        )
        require(
            self.stop_within_pp is None or self.stop_within_pp >= 0,
            "stop_within_pp >= 0",
            stop_within_pp=self.stop_within_pp,
        )
        self._quantization({})  # it checks the rest

    @property
    def described(self) -> str:
        """The method in a few words."""
        return "symmetric, per channel, bits of each layer"

    @property
    def epochs(self) -> int:
        """Epochs that the stage trains, at most."""
        return self.qat_epochs

    @classmethod
    def start(cls, tuning: Tuning) -> Self:
        """Return the settings that a search begins with."""
        return cls(
            mean_bits=max(BITS),
            qat_epochs=tuning.qat_epochs,
            batch_size=tuning.batch_size,
            lr=tuning.lr,
        )

    def suggest_wide(self, trial: Suggests, tuning: Tuning) -> Self:
        """Return these settings with the budget that `trial` suggests."""
        return replace(self, mean_bits=trial.suggest_float("mixed.mean_bits", *SEARCHED_MEAN_BITS))

    def apply(self, state: NetworkState, context: Context) -> NetworkState:
        """Return the weights rounded to their layer's bits, and each layer's format."""
        state = context.fold(state)
        network = context.network_of(state)
        remaining = {
            name: int(layer.weight.count_nonzero())
            for name, layer in context.layers_of(network).items()
        }
        bits = choose_bits(bits_divergence(state, context), remaining, self.mean_bits)
        stop_at = None
        if self.stop_within_pp is not None:
            before = context.score.of_network(network, context.data, "validation")
            stop_at = context.score.least_worth(before, self.stop_within_pp)
        return self._quantization(bits).apply_until(stop_at, state, context)

    def _quantization(self, bits: Mapping[str, int]) -> Quantization:
        return Quantization(
            bits=max(BITS),
            layers=bits,
            qat_epochs=self.qat_epochs,
            batch_size=self.batch_size,
            lr=self.lr,
        )
