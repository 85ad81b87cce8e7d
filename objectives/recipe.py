"""How every stage of a plan trains, beside its own epochs, batch size and learning rate.

With distillation a stage that fine-tunes learns from the baseline, its teacher, too. With z the
answers, z_T the teacher's, w the weight and T the temperature,

    loss = (1 - w) * cross_entropy(z, labels) + w * T^2 * KL(softmax(z_T / T) || softmax(z / T))

Where a task has no softmax, its own loss and distance stand in their place (`models.tasks`).

Source: Hinton et al. 2015, arXiv:1503.02531, section 2; with quantization as in Polino et al.
2018, arXiv:1802.05668, section 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol, get_args

from torch import Tensor

from models.checks import require
from models.tasks.base import Task

LrDecay = Literal["none", "cosine"]
LR_DECAYS: tuple[LrDecay, ...] = get_args(LrDecay)

MixedPrecision = Literal["auto", "bf16", "none"]
MIXED_PRECISIONS: tuple[MixedPrecision, ...] = get_args(MixedPrecision)


class Suggests(Protocol):
    """The part of Optuna's `Trial` that a recipe uses."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Return a value in [low, high]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What all stages of a plan have in common."""

    version: ClassVar[int] = 2
    """Raised when stages that distill begin to give another result."""
    before: ClassVar[Mapping[str, Any]] = MappingProxyType({"mixed_precision": "auto"})
    """Settings that plans of before do not name, and what was done then."""

    lr_decay: LrDecay = "none"
    """Whether the learning rate falls to 0 within a stage, as a half cosine, step by step."""
    distill_weight: float = 0.0
    """Share of the loss that is the teacher's, in [0, 1]; the baseline itself has no teacher."""
    distill_temperature: float = 4.0
    """What logits are divided by; a higher one shows more of what the teacher thinks."""
    mixed_precision: MixedPrecision = "auto"
    """Whether layers compute in bfloat16 while weights stay float32; auto: on CUDA only.

    Kalamkar et al. 2019, arXiv:1905.12322.
    """

    def __post_init__(self) -> None:
        require(self.lr_decay in LR_DECAYS, f"lr_decay in {LR_DECAYS}", lr_decay=self.lr_decay)
        require(
            self.mixed_precision in MIXED_PRECISIONS,
            f"mixed_precision in {MIXED_PRECISIONS}",
            mixed_precision=self.mixed_precision,
        )
        require(
            0 <= self.distill_weight <= 1,
            "0 <= distill_weight <= 1",
            distill_weight=self.distill_weight,
        )
        require(
            self.distill_temperature > 0,
            "distill_temperature > 0",
            distill_temperature=self.distill_temperature,
        )

    def suggest(self, trial: Suggests) -> "Recipe":
        """Return the recipe with the distillation that `trial` suggests."""
        return replace(
            self,
            distill_weight=trial.suggest_float("distill.weight", 0.0, 1.0),
            distill_temperature=trial.suggest_float("distill.temperature", 1.0, 10.0, log=True),
        )

    def of_baseline(self) -> "Recipe":
        """Return the recipe without distillation."""
        return Recipe(lr_decay=self.lr_decay, mixed_precision=self.mixed_precision)

    def trains_in_bf16(self, accelerator: str) -> bool:
        """Return whether layers compute in bfloat16 on a device, by Lightning's name of it."""
        return self.mixed_precision == "bf16" or (
            self.mixed_precision == "auto" and accelerator == "cuda"
        )


def distillation_loss(
    task: Task,
    answers: Tensor,
    teacher: Tensor,
    targets: Tensor,
    *,
    weight: float,
    temperature: float,
) -> Tensor:
    """Return the module's loss, ().

    Args:
        task: That the others are of.
        answers: Those that learn.
        teacher: Those learnt from.
        targets: What is right.
        weight: Of the teacher's part, in [0, 1].
        temperature: Positive.
    """
    hard = task.loss(answers, targets)
    soft = task.distance(answers / temperature, teacher / temperature)
    return (1 - weight) * hard + weight * temperature**2 * soft
