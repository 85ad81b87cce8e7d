"""Prune: zero the smallest weights, a few more at a time, while fine-tuning.

At a step t of the fine-tuning the sparsity is, with s_i and s_f the initial and the final one,

    s_t = s_f + (s_i - s_f) * (1 - t / T)^3                                    (Eq. 1)

so that many weights go while the network can still recover and few at the end. The masks are
renewed up to `MASK_UPDATES` times, evenly spread, the last time at t = T; after every step the
masked weights are set to zero again.

Source: Zhu & Gupta 2017, arXiv:1710.01878, Eq. 1 with t_0 = 0 and n * delta_t = T,
which is the end of the fine-tuning or, with a ramp below 1, that share of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from models.checks import require
from objectives.context import Context
from objectives.network.state import NetworkState, copy_weights
from objectives.stages.base import FineTuned, Tuning
from objectives.suggests import Suggests
from objectives.training.loop import tune_
from objectives.training.masks import (
    ALLOCATIONS,
    Allocation,
    MaskKeeper,
    magnitude_mask,
    magnitude_masks,
)

MASK_UPDATES = 100
FEWEST_STEPS_BETWEEN_UPDATES = 4
"""Renewing the masks of AlexNet takes as long as two of its steps."""
LEAST_SEARCHED_RAMP = 0.3
LR_FACTOR = 3.0
"""A search tries learning rates up to this factor above and below the one that is set."""


class GradualPruning(MaskKeeper):
    """Renews the masks during training, sparser and sparser; see the module's Eq. 1."""

    def __init__(self, weights: dict[str, Tensor], settings: "WeightPruning") -> None:
        super().__init__(weights, {})
        self._settings = settings

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prune to the initial sparsity."""
        self._renew(progress=0.0)

    def after_step(self, step: int, steps: float) -> None:
        """Renew the masks when it is time, and apply them."""
        ramp_steps = max(1, round(self._settings.ramp * steps))
        update_every = max(FEWEST_STEPS_BETWEEN_UPDATES, ramp_steps // MASK_UPDATES)
        if step == ramp_steps or (step % update_every == 0 and step < ramp_steps):
            self._renew(step / ramp_steps)
        else:
            super().after_step(step, steps)

    def _renew(self, progress: float) -> None:
        def scheduled(final: float) -> float:
            return scheduled_sparsity(progress, self._settings.initial_sparsity, final)

        settings = self._settings
        if not settings.layers:
            sparsity = scheduled(settings.sparsity)
            self.keep(magnitude_masks(self._weights, sparsity, settings.allocation))
            return
        self.keep(
            {
                layer: magnitude_mask(
                    weight, scheduled(settings.layers.get(layer, settings.sparsity))
                )
                for layer, weight in self._weights.items()
            }
        )


def scheduled_sparsity(progress: float, initial: float, final: float) -> float:
    """Return the sparsity at `progress` = t / T; never more than the final one."""
    return final + (min(initial, final) - final) * (1 - progress) ** 3  # Eq. 1


@dataclass(frozen=True, kw_only=True)
class WeightPruning(FineTuned):
    """Zero the smallest-magnitude weights while fine-tuning."""

    stage = "prune"
    version = 1
    kind = "masking"
    order = 0
    of_the_paper = True
    fewest_epochs = 1

    sparsity: float = 0.0
    """Share of the prunable weights that are zero at the end, in [0, 1)."""
    initial_sparsity: float = 0.5
    """Share that is zero at the beginning."""
    allocation: Allocation = "uniform"
    """Whether each layer gets this sparsity, or all layers together."""
    layers: Mapping[str, float] = field(default_factory=dict)
    """Sparsity of layers by name, in [0, 1); if any has its own, the others get `sparsity`."""
    ramp: float = 1.0
    """Share of the steps in which the masks are renewed, in (0, 1]; then they stay."""

    def __post_init__(self) -> None:
        require(0 <= self.sparsity < 1, "0 <= sparsity < 1", sparsity=self.sparsity)
        require(
            0 <= self.initial_sparsity < 1,
            "0 <= initial_sparsity < 1",
            initial_sparsity=self.initial_sparsity,
        )
        require(
            self.allocation in ALLOCATIONS,
            f"allocation in {ALLOCATIONS}",
            allocation=self.allocation,
        )
        for layer, sparsity in self.layers.items():
            require(0 <= sparsity < 1, f"0 <= sparsity of {layer} < 1", sparsity=sparsity)
        require(0 < self.ramp <= 1, "0 < ramp <= 1", ramp=self.ramp)
        super().__post_init__()

    @property
    def is_neutral(self) -> bool:
        """Nothing is pruned at a sparsity of 0, and nothing fine-tuned."""
        return self.sparsity == 0 and not any(self.layers.values())

    @property
    def told(self) -> str:
        """What was done, in a few words."""
        if self.layers:
            return "pruned, each layer by its own share"
        how = "" if self.allocation == "uniform" else f", {self.allocation}"
        return f"{100 * self.sparsity:.4g} % pruned{how}"

    def overall_sparsity(self, sizes: Mapping[str, int]) -> float:
        """Return the share of all prunable weights that is zero at the end.

        Args:
            sizes: Weights of each prunable layer, by name.
        """
        if not self.layers:
            return self.sparsity
        return 1 - sum(self.kept_weights(sizes).values()) / sum(sizes.values())

    def kept_weights(self, sizes: Mapping[str, int]) -> dict[str, float]:
        """Return how many of each layer's weights are not zero at the end, before rounding."""
        return {
            layer: size * (1 - self.layers.get(layer, self.sparsity))
            for layer, size in sizes.items()
        }

    def suggest(self, trial: Suggests, sparsities: tuple[float, float]) -> Self:
        """Return these settings with the sparsity that `trial` suggests, of a least and a most."""
        return replace(self, sparsity=trial.suggest_float("sparsity", *sparsities))

    def suggest_wide(self, trial: Suggests, tuning: Tuning) -> Self:
        """Return settings of a wide space: density, allocation, ramp, epochs and learning rate."""
        low, high = tuning.density
        density = trial.suggest_float("prune.density", low, high, log=True)
        return replace(
            self,
            sparsity=1 - density,
            allocation=trial.suggest_categorical("prune.allocation", tuning.allocations),
            ramp=trial.suggest_float("prune.ramp", LEAST_SEARCHED_RAMP, 1.0),
            epochs=trial.suggest_int("prune.epochs", max(1, self.epochs // 3), self.epochs),
            lr=trial.suggest_float("prune.lr", self.lr / LR_FACTOR, self.lr * LR_FACTOR, log=True),
        )

    def apply(self, state: NetworkState, context: Context) -> NetworkState:
        """Return the pruned and fine-tuned weights with their masks."""
        network = context.network_of(state)
        weights: dict[str, Tensor] = {
            name: layer.weight for name, layer in context.layers_of(network).items()
        }
        pruning = GradualPruning(weights, self)
        tune_(network, context, self, callbacks=[pruning])
        masks = {layer: mask.cpu().contiguous() for layer, mask in pruning.masks.items()}
        return NetworkState(weights=copy_weights(network), masks=masks)


@dataclass(frozen=True, kw_only=True)
class WarmStart(WeightPruning):
    """A pruning whose result is pruned further, or less, instead of the baseline."""

    part = "warm_start"
    order = -1
    is_method = False
    of_the_paper = False
