"""What a user says about single parameters of a space: `--range NAME=LOW,HIGH` or `NAME=VALUE`.

A range may be narrower than the space's own, so that few trials search it well, or wider; a single
value is no parameter any more. Of choices it names those that stay.
"""

from collections.abc import Iterable, Sequence
from typing import Any, cast

from models.checks import require
from models.errors import BadInputError
from objectives.suggests import Suggests


def parsed(ranges: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the values of each name.

    Raises:
        BadInputError: One is not NAME=VALUE,..., or a name is there twice.
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in ranges:
        name, sign, values = text.partition("=")
        if not sign or not name or not values:
            raise BadInputError(f"`--range {text}` is not NAME=LOW,HIGH, or NAME=VALUE.")
        if name in found:
            raise BadInputError(f"`--range {name}=...` is given twice.")
        found[name] = tuple(values.split(","))
    return found


class Ranged:
    """Suggests what `trial` does, within the ranges that were said.

    Args:
        trial: Optuna's.
        ranges: Values by the names of parameters, as `parsed` returns them.
    """

    def __init__(self, trial: Suggests, ranges: dict[str, tuple[str, ...]]) -> None:
        self._trial = trial
        self._ranges = ranges

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Return a number in the range that was said, else in [low, high]."""
        ends = self._ends(name, float)
        if ends and ends[0] == ends[1]:
            return ends[0]
        return self._trial.suggest_float(name, *(ends or (low, high)), log=log)

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """Return a whole number in the range that was said, else in [low, high]."""
        ends = cast("tuple[int, int] | None", self._ends(name, int))
        if ends and ends[0] == ends[1]:
            return ends[0]
        return self._trial.suggest_int(name, *(ends or (low, high)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:  # noqa: ANN401 - Optuna's type
        """Return one of the choices that were said, else of all."""
        said = self._ranges.get(name)
        if said is not None:
            known = {str(choice): choice for choice in choices}
            for value in said:
                require(value in known, f"--range {name} in {tuple(known)}", got=value)
            choices = tuple(known[value] for value in said)
            if len(choices) == 1:
                return choices[0]
        return self._trial.suggest_categorical(name, choices)

    def _ends(self, name: str, kind: type[float]) -> tuple[float, float] | None:
        """Return the lowest and the highest number that were said, None if none were."""
        said = self._ranges.get(name)
        if said is None:
            return None
        try:
            ends = tuple(kind(value) for value in said)
        except ValueError:
            ends = ()
        is_range = 1 <= len(ends) <= 2 and ends[0] <= ends[-1]
        what = "a number, or a lowest and a highest" if kind is float else "whole numbers"
        require(is_range, f"--range {name} names {what}", got=",".join(said))
        return ends[0], ends[-1]


class Names:
    """Suggests the lowest, or the highest, and remembers what it was asked."""

    def __init__(self, *, highest: bool) -> None:
        self._highest = highest
        self.asked: list[str] = []

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Return an end of [low, high]."""
        require(not log or low > 0, f"--range {name} begins above 0", low=low)
        self.asked.append(name)
        return high if self._highest else low

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """Return an end of [low, high]."""
        self.asked.append(name)
        return high if self._highest else low

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:  # noqa: ANN401 - Optuna's type
        """Return the first or the last choice."""
        self.asked.append(name)
        return choices[-1 if self._highest else 0]
