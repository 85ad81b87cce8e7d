"""What a stage may ask of a search."""

from collections.abc import Sequence
from typing import Any, Protocol


class Suggests(Protocol):
    """The part of Optuna's `Trial` that stages and the recipe use."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Return a number in [low, high]; with `log` evenly on a logarithmic scale."""

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """Return a whole number in [low, high]."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:  # noqa: ANN401 - Optuna's type
        """Return one of `choices`."""
