"""What the stages have in common that store weights otherwise and fine-tune what is stored."""

from dataclasses import dataclass
from typing import ClassVar, Self

from models.checks import require
from objectives.stages.base import Tuning
from objectives.training.loop import require_training


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedSettings:
    """How such a stage fine-tunes; all else of its settings has defaults, where a search begins.

    A subclass that has a `__post_init__` calls this one's by name: `super()` does not know a
    dataclass with slots, which is made anew.
    """

    stage: ClassVar[str]

    tuning_epochs: int
    """Passes over the training part while weights are what the file will hold; 0 only rounds."""
    batch_size: int
    """Images in a step."""
    lr: float
    """Adam's learning rate."""

    def __post_init__(self) -> None:
        require(self.tuning_epochs >= 0, "tuning_epochs >= 0", tuning_epochs=self.tuning_epochs)
        require_training(self)

    @property
    def is_neutral(self) -> bool:
        """Rounding, or sharing, always changes weights."""
        return False

    @property
    def epochs(self) -> int:
        """Epochs that the stage trains."""
        return self.tuning_epochs

    @classmethod
    def start(cls, tuning: Tuning) -> Self:
        """Return the settings that a search begins with."""
        return cls(tuning_epochs=tuning.qat_epochs, batch_size=tuning.batch_size, lr=tuning.lr)
