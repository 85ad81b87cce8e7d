"""Scores as trials hold them, and as people read them: every number has its metric and unit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ACCURACY = "accuracy"
"""What trials from before other scores existed have."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What one trial is scored by, and how well.

    Args:
        facts: The trial's user attributes.
    """

    facts: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The metric."""
        return str(self.facts.get("score_name", ACCURACY))

    @property
    def is_share(self) -> bool:
        """Whether values are percent, and changes percentage points."""
        return bool(self.facts.get("score_is_share", True))

    @property
    def is_of_networks(self) -> bool:
        """Whether what a trial was stopped at is this score."""
        return bool(self.facts.get("score_is_of_networks", True))

    @property
    def _sign(self) -> int:
        return -1 if self.facts.get("score_mode") == "min" else 1

    def value(self, part: str) -> float:
        """Return the score on "val" or "test", percent of a share."""
        found = self.facts.get(f"{part}_score")
        return float(self.facts[f"{part}_accuracy_pct"] if found is None else found)

    def worth(self, part: str) -> float:
        """Return the score, turned so that more is better."""
        return self._sign * self.value(part)

    def told_worth(self, worth: float) -> str:
        """Return the score of something that is worth so much, with its unit."""
        return told(self._sign * worth, is_share=self.is_share)

    def told(self, part: str) -> str:
        """Return the score with its unit."""
        return told(self.value(part), is_share=self.is_share)

    def told_delta(self, part: str) -> str:
        """Return how much better than the baseline it is, with its unit; below 0 is worse."""
        return f"{self.facts[f'{part}_delta_pct']:+.2f} {delta_unit(is_share=self.is_share)}"


def told(value: float, *, is_share: bool) -> str:
    """Return a score with its unit."""
    return f"{value:.2f} %" if is_share else f"{value:#.4g}".rstrip(".")


def heading(name: str, *, is_share: bool) -> str:
    """Return the metric with its unit, over a column."""
    return f"{name} %" if is_share else name


def delta_unit(*, is_share: bool) -> str:
    """Return the unit of a change: percentage points, or percent of the baseline's value."""
    return "points" if is_share else "%"
