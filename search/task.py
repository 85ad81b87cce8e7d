"""A trial as a task: take one of a study that waits and run it, in whichever process this is."""

import threading
from dataclasses import dataclass, field
from functools import lru_cache

import optuna

from search.options import parse
from search.paths import StudyPaths
from search.setup import setup_from_options
from search.study import join_study
from search.study_worker import StudyWorker, method_of
from search.worker_progress import PROGRESS

_ONE_AT_A_TIME = threading.Lock()
"""Torch's random numbers are the process's: a second trial beside the first would change both."""


@dataclass(frozen=True, slots=True)
class Task:
    """Called, it runs one trial and returns its id; None if none waited."""

    arguments: tuple[str, ...] = field(repr=False)
    """The options of `search.run`; not shown, as a URL may hold a password."""
    study: str
    """Name of the study, which is there."""

    def __call__(self) -> int | None:
        """Take a trial and run it; see `search.worker.run_next`."""
        with _ONE_AT_A_TIME:
            PROGRESS.begin(self.study)
            finished = _worker(self).run_next()
            return None if finished is None else finished._trial_id


@lru_cache(maxsize=1)
def _worker(task: Task) -> StudyWorker:
    """Open the study once per process."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    options = parse(task.arguments)
    worker = StudyWorker(
        setup_from_options(options),
        StudyPaths(options.studies_dir, task.study),
        options.storage,
        method_of(options),
        heartbeat_seconds=options.heartbeat,
        progress=PROGRESS,
        opener=join_study,
    )
    worker.open_pipeline(int(options.cache_gb * 10**9))
    worker.use_device()
    return worker
