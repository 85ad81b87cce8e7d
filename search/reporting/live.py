"""The report of a study that runs: written after a trial, but never so often that it costs."""

import time
from contextlib import suppress

from optuna import Study
from optuna.trial import TrialState

from models.errors import BadInputError
from search.results.times import told_seconds
from search.storage.paths import StudyPaths
from search.storage.queue import FAILURE, TrialQueue

LEAST_SECONDS = 5.0
"""Between two reports."""
MOST_SHARE = 0.05
"""Of the time that may be spent on reports."""


class LiveReport:
    """Keeps a study's page, note and plots up to date while its trials run."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._done = 0
        self._next = 0.0
        """When the next report may be written."""

    def trial_ended(self, study: Study, paths: StudyPaths, queue: TrialQueue) -> None:
        """Write the report of `study`, of which a trial has ended, if the last one is old enough.

        Args:
            study: It is worked on.
            paths: Where its files are.
            queue: Of its trials.
        """
        self._done += 1
        started = time.monotonic()
        if started < self._next:
            return
        left = queue.left()
        if left == 0:  # at the end comes the last report
            return
        from search.reporting.writing import write_report  # its plots take long to import

        pace = (started - self._began) / self._done
        with suppress(BadInputError):  # nothing is finished well, or it cannot be written: see end
            write_report(study, paths, status=_status(queue, left, pace * left))
        taken = time.monotonic() - started
        self._next = time.monotonic() + max(LEAST_SECONDS, taken / MOST_SHARE)


def _status(queue: TrialQueue, left: int, seconds: float) -> str:
    finished = queue.queries.count(TrialState.COMPLETE, TrialState.PRUNED)
    finished += queue.queries.failed_with(FAILURE)  # others run again
    return (
        f"Running: {finished} of {finished + left} trials are finished, "
        f"about {told_seconds(seconds)} left."
    )
