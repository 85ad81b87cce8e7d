"""What carrying out a plan gives: one artifact beside the baseline's, and what it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from objectives.artifact.measure import Measurement
from objectives.quality import paper_quality, retained_saving
from objectives.score.base import Score


@dataclass(slots=True)
class Cost:
    """What carrying out one plan took; what came from the cache took nothing but looking it up."""

    stage_seconds: dict[str, float] = field(default_factory=dict)
    """Wall seconds per stage."""
    epochs_trained: int = 0
    """Epochs that were trained now."""

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the seconds of the `with` block to those of `stage`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What artifacts are compared with."""

    measurement: Measurement
    checkpoint_bytes: int | None
    """Size after gzip of a checkpoint, with the optimizer's state; None if not trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One artifact beside the baseline's."""

    measurement: Measurement
    baseline: Baseline
    score: Score
    sparsity: float
    """The plan's, over all layers: Eq. 5's s."""
    bits: float
    """The plan's, of a mean remaining weight: Eq. 5's p."""
    stage_keys: dict[str, str]
    """Cache key of each stage that was carried out."""
    cost: Cost

    @property
    def reduction_factor(self) -> float:
        """Bytes of the baseline's artifact without a coder of ours / bytes of what is shipped."""
        return self.baseline.measurement.uncoded_bytes / self.measurement.shipped_bytes

    @property
    def val_delta_pct(self) -> float:
        """How much better than the baseline it is on validation: see `Score.delta_pct`."""
        now, before = self.measurement.val_score, self.baseline.measurement.val_score
        return self.score.delta_pct(now, before)

    @property
    def test_delta_pct(self) -> float:
        """The same on test."""
        now, before = self.measurement.test_score, self.baseline.measurement.test_score
        return self.score.delta_pct(now, before)

    def quality(self, delta_pct: float) -> float:
        """Return Eq. 5 with this change of the score."""
        return paper_quality(self.sparsity, self.bits, delta_pct, self.reduction_factor)

    def saving(self, delta_pct: float) -> float:
        """Return the retained saving U with this change of the score."""
        return retained_saving(delta_pct, self.reduction_factor)
