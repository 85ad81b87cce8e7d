"""What a compression stage is."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from objectives.context import Context
from objectives.network.state import NetworkState


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How a stage fine-tunes unless a search says otherwise."""

    epochs: int
    """Passes over the training part after weights or whole parts were removed."""
    qat_epochs: int
    """Passes over the training part while weights are what the file will hold."""
    batch_size: int
    """Images in a step."""
    lr: float
    """Adam's learning rate."""


class StageSettings(Protocol):
    """Frozen settings of one stage; a dataclass of JSON values.

    The type of the settings is the stage: `apply` carries it out.
    """

    stage: ClassVar[str]
    """Name of the stage in plans, cache keys and messages."""
    version: ClassVar[int]
    """Raised when the same settings begin to give another result."""
    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def is_neutral(self) -> bool:
        """Whether the stage changes nothing; then it is left out."""

    @property
    def described(self) -> str:
        """The method in a few words of a table; "" where its columns say it."""

    @property
    def epochs(self) -> int:
        """Epochs that the stage trains; a stage that trains is cached."""

    def apply(self, state: NetworkState, context: Context) -> NetworkState:
        """Return a new state; `state` stays as it is.

        Raises:
            TrialError: The result cannot be scored.
            StopRequested: The study is to stop.
        """
