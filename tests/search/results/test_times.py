"""How long a study was at work, by the clock."""

from datetime import datetime, timedelta

import pytest
from optuna.trial import TrialState, create_trial

from search.results.times import told_seconds, wall_seconds


@pytest.mark.parametrize(
    ("runs", "seconds"),
    [
        ([], 0),
        ([(0, 10)], 10),
        ([(0, 10), (5, 12)], 12),
        ([(0, 10), (2, 4), (9, 11)], 11),
        ([(0, 10), (100, 103)], 13),
        ([(5, 12), (0, 10), (0, 1)], 12),
    ],
    ids=["none", "one", "side by side", "within another", "after a break", "in any order"],
)
def test_trials_side_by_side_count_once_and_breaks_not_at_all(
    runs: list[tuple[int, int]], seconds: float
) -> None:
    begin = datetime(2026, 1, 1)
    trials = []
    for first, last in runs:
        trial = create_trial(state=TrialState.COMPLETE, value=1.0)
        trial.datetime_start = begin + timedelta(seconds=first)
        trial.datetime_complete = begin + timedelta(seconds=last)
        trials.append(trial)
    running = create_trial(state=TrialState.RUNNING)
    running.datetime_complete = None
    assert wall_seconds([*trials, running]) == seconds


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(3.21, "3.2 s"), (73.4, "73 s"), (100, "2 min"), (5999, "100 min"), (9000, "2.5 h")],
)
def test_durations_have_the_unit_that_suits_them(seconds: float, told: str) -> None:
    assert told_seconds(seconds) == told
