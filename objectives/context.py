"""What every stage of every trial of a study shares."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from objectives.network.identity import model_fingerprint
from objectives.network.state import NetworkState
from objectives.network.studied import StudiedNetwork
from objectives.progress import Progress, SilentProgress
from objectives.recipe import Recipe
from objectives.score.accuracy import ACCURACY
from objectives.score.base import Score

AfterEpoch = Callable[[int, float], None]
"""Takes the number of the epoch, from 1, and what the network is worth on validation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(StudiedNetwork):
    """The model, the data and the seed that a plan is carried out with."""

    score: Score = ACCURACY
    """What files are scored by."""
    seed: int
    accelerator: str = "cpu"
    """Lightning's name of the device to train on: cpu, cuda or mps."""
    threads: int = 1
    """That train on the CPU."""
    weights: dict[str, Tensor] | None = None
    """Trained weights that the baseline starts from, instead of being trained."""
    progress: Progress = field(default_factory=SilentProgress)
    recipe: Recipe = field(default_factory=Recipe)
    """How stages train."""
    fingerprint: str = ""
    """Of the network, where it is known."""
    private: str = ""
    """Part of the cache's keys: a study's name, where the network cannot be hashed wholly."""
    teacher: NetworkState | None = None
    """The baseline, where the recipe distills it."""
    after_epoch: AfterEpoch | None = None
    """Told after each epoch of fine-tuning; it may raise."""

    def model_fingerprint(self) -> str:
        """Return the network's hash; see `objectives.network.identity`."""
        return self.fingerprint or model_fingerprint(self)
