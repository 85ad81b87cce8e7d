"""How long a study was at work, by the clock."""

from collections.abc import Iterable

from optuna.trial import FrozenTrial


def wall_seconds(trials: Iterable[FrozenTrial]) -> float:
    """Return the seconds in which at least one of these trials ran; side by side they count once.

    What came before the first trial, and breaks between two runs of a study, do not count.
    """
    runs = sorted(
        (trial.datetime_start, trial.datetime_complete)
        for trial in trials
        if trial.datetime_start is not None and trial.datetime_complete is not None
    )
    seconds, end = 0.0, None
    for started, ended in runs:
        begin = started if end is None else max(started, end)
        seconds += max(0.0, (ended - begin).total_seconds())
        end = ended if end is None else max(end, ended)
    return seconds


def told_seconds(seconds: float) -> str:
    """Return a duration in the unit that suits it."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
