"""What a stage is: a method of compression, or the training that comes before all of them.

The frozen settings of a stage are the stage: `apply` carries them out. A method is one file in
this folder, whose class says of itself what it is; nobody else names it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args

from torch import nn

from models.checks import require
from objectives.context import Context
from objectives.network.state import NetworkState
from objectives.suggests import Suggests
from objectives.training.loop import require_training
from objectives.training.masks import ALLOCATIONS, Allocation

LOWEST_SEARCHED_DENSITY = 0.002
"""Share of weights that is kept at least: a network of fewer is mostly biases."""

Kind = Literal["training", "structure", "masking", "representation"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What a stage decides, in the order of execution: the first weights; which weights there are;
which are zero; what a weight is stored as. A plan has one at most of each of the last two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What a study says to all stages of its search."""

    epochs: int
    """Passes over the training part after weights or whole parts were removed."""
    qat_epochs: int
    """Passes over the training part while weights are what the file will hold."""
    batch_size: int
    """Images in a step."""
    lr: float
    """Adam's learning rate."""
    density: Sequence[float] = (LOWEST_SEARCHED_DENSITY, 1.0)
    """Least and most share of weights that are kept."""
    allocations: Sequence[Allocation] = ALLOCATIONS
    """How the zeros may be shared among layers."""
    all_on_integers: bool = False
    """Whether what runs the files has 8 bits through and through only, and no zero point of
    weights."""
    lacks_bits: frozenset[int] = frozenset()
    """Precisions of weights that it does not have."""


class Stage(ABC):
    """Settings of one stage: a frozen dataclass of JSON values, with defaults to search from."""

    stage: ClassVar[str]
    """Name in messages, and in cache keys unless it had another one."""
    version: ClassVar[int]
    """Raised when the same settings begin to give another result."""
    kind: ClassVar[Kind]
    order: ClassVar[int] = 100
    """Place among those of its kind; of equal ones the name decides."""
    part: ClassVar[str]
    """Name in plans: that of the stage, unless it says otherwise."""
    former_name: ClassVar[str] = ""
    """What it was called in plans, studies and `--methods` of before, which are still read."""
    is_method: ClassVar[bool] = True
    """Whether it can be asked for by its name."""
    of_the_paper: ClassVar[bool] = False
    """Whether Eq. 5 knows it: a plan always has it, changing nothing if need be."""
    puts_on_integers: ClassVar[bool] = False
    """Whether layers may be computed on integers by it."""
    looks_at_score: ClassVar[bool] = False
    """Whether what it does depends on how networks are scored."""
    loses_zeros: ClassVar[str] = ""
    """Why pruned weights would not stay zero; "" where they do."""
    before: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Settings that plans of before do not name, and what was done then."""
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __init_subclass__(cls) -> None:
        if "stage" in vars(cls) and "part" not in vars(cls):
            cls.part = cls.stage

    if TYPE_CHECKING:  # a dataclass would take a property for a field's default

        @property
        def epochs(self) -> int:
            """Epochs that the stage trains; a stage that trains is cached."""

    @property
    def key_name(self) -> str:
        """The name in cache keys and for random numbers, which stays for good."""
        return self.former_name or self.stage

    @property
    def is_neutral(self) -> bool:
        """Whether the stage changes nothing; then it is left out."""
        return False

    @property
    def described(self) -> str:
        """The method in a few words of a table; "" where its columns say it."""
        return ""

    @property
    def told(self) -> str:
        """What was done, in a few words that need no table around them."""
        bits = getattr(self, "bits", None)
        words = self.described or self.stage
        return words if bits is None else f"{words}, {bits:g} bits"

    def bits_of(self, layer: str) -> float:
        """Return the bits of a weight of `layer`, of a stage that decides them for all alike."""
        return float(getattr(self, "bits", 32))

    @classmethod
    @abstractmethod
    def start(cls, tuning: Tuning) -> Self:
        """Return the settings that a search begins with."""

    def suggest_wide(self, trial: Suggests, tuning: Tuning) -> Self:
        """Return these settings with those in their place that `trial` suggests."""
        return self

    @classmethod
    def attempt(cls, context: Context) -> nn.Module | None:  # noqa: ARG003 - others use it
        """Try, before a study, whether the method can do anything to an untrained network.

        Returns:
            A network that it trains in the place of the baseline; that must train, too.

        Raises:
            TrialError: It cannot.
        """
        return None

    @abstractmethod
    def apply(self, state: NetworkState, context: Context) -> NetworkState:
        """Return a new state; `state` stays as it is.

        Raises:
            TrialError: The result cannot be scored.
            StopRequested: The study is to stop.
        """


@dataclass(frozen=True, kw_only=True)
class FineTuned(Stage):
    """A stage that trains what it leaves."""

    fewest_epochs: ClassVar[int] = 0

    epochs: int
    """Passes over the training part."""
    batch_size: int
    """Images in a step."""
    lr: float
    """Adam's learning rate."""

    def __post_init__(self) -> None:
        fewest = self.fewest_epochs
        require(self.epochs >= fewest, f"epochs >= {fewest}", epochs=self.epochs)
        require_training(self)

    @classmethod
    def start(cls, tuning: Tuning) -> Self:
        """Return the settings that a search begins with."""
        return cls(epochs=tuning.epochs, batch_size=tuning.batch_size, lr=tuning.lr)


@dataclass(frozen=True, kw_only=True)
class TunedAsStored(Stage):
    """A stage that stores weights otherwise, and trains while they are what the file will hold."""

    kind = "representation"

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
    def epochs(self) -> int:
        """Epochs that the stage trains."""
        return self.tuning_epochs

    @classmethod
    def start(cls, tuning: Tuning) -> Self:
        """Return the settings that a search begins with."""
        return cls(tuning_epochs=tuning.qat_epochs, batch_size=tuning.batch_size, lr=tuning.lr)
