"""The report of a study that runs: written after a trial, but never so often that it costs."""

import time
from contextlib import suppress

from optuna import Study
from optuna.trial import TrialState

from models.errors import BadInputError
from search.results.times import told_seconds
from search.storage.paths import StudyPaths
from search.storage.queue import FAILURE
from search.storage.trial_queries import TrialQueries

LEAST_SECONDS = 5.0
"""Between two reports."""
MOST_SHARE = 0.05
"""Of the time that may be spent on reports."""


class LiveReport:
    """Keeps a study's page, note and plots up to date while its trials run.

    Args:
        study: It is worked on.
        paths: Where its files are.
        queries: Of its trials.
    """

    def __init__(self, study: Study, paths: StudyPaths, queries: TrialQueries) -> None:
        self._study = study
        self._paths = paths
        self._queries = queries
        self._began = time.monotonic()
        self._done = 0
        self._next = 0.0
        """When the next report may be written."""

    def trial_ended(self, left: int) -> None:
        """Write the report if the last one is old enough; `left` trials are not finished yet."""
        self._done += 1
        started = time.monotonic()
        if left == 0 or started < self._next:  # at the end comes the last report
            return
        from search.reporting.writing import write_report  # its plots take long to import

        pace = (started - self._began) / self._done
        with suppress(BadInputError):  # nothing is finished well, or it cannot be written: see end
            write_report(self._study, self._paths, status=self._status(left, pace * left))
        taken = time.monotonic() - started
        self._next = time.monotonic() + max(LEAST_SECONDS, taken / MOST_SHARE)

    def _status(self, left: int, seconds: float) -> str:
        finished = self._queries.count(TrialState.COMPLETE, TrialState.PRUNED)
        finished += self._queries.failed_with(FAILURE)  # others run again
        return (
            f"Running: {finished} of {finished + left} trials are finished, "
            f"about {told_seconds(seconds)} left."
        )
