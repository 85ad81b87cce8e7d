"""A trial as a task: take one of a study that waits and run it, in whichever process this is."""

import pickle
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import cloudpickle
import optuna

from models.checks import require
from models.errors import BadInputError, first_line
from search.sampling.method import SearchMethod
from search.settings.given import Given
from search.settings.setup import make_setup
from search.storage.paths import StudyPaths
from search.storage.study import join_study
from search.workers.study_worker import StudyWorker
from search.workers.worker_progress import PROGRESS

_ONE_AT_A_TIME = threading.Lock()
"""Torch's random numbers are the process's: a second trial beside the first would change both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Called, it runs one trial and returns its id; None if none waited."""

    given: bytes = field(repr=False)
    """A pickled `Given`: the caller's own objects, classes of a notebook's too."""
    stays: str = ""
    """Why what was given cannot travel to another process; empty where it can."""
    settings: tuple[tuple[str, Any], ...]
    """Fields of `StudyConfig` that were set, and their values."""
    model_fingerprint: str
    """Of the network, which the classes of a notebook do not tell in another process."""
    accelerator: str
    data_root: Path
    method: SearchMethod
    paths: StudyPaths
    """Where the study is, which is there."""
    storage: str | None = field(repr=False)
    """Database URL, which may hold a password."""
    heartbeat_seconds: int
    cache_bytes: int

    def __post_init__(self) -> None:
        seconds, size = self.heartbeat_seconds, self.cache_bytes
        require(seconds >= 1, "heartbeat_seconds >= 1", heartbeat_seconds=seconds)
        require(size > 0, "cache_gb > 0", cache_gb=size / 10**9)

    @classmethod
    def of(
        cls, given: Given, settings: Mapping[str, Any], fingerprint: str, **others: Any
    ) -> "Task":
        """Return the task for what was given and set; a network that has a name is hashed anew."""
        try:
            pickled, stays = cloudpickle.dumps(given), ""
        except Exception as err:  # of whatever an object does not like about it
            pickled, stays = b"", f"{type(err).__name__}: {first_line(err)}"
        return cls(
            given=pickled,
            stays=stays,
            settings=tuple(settings.items()),
            model_fingerprint="" if isinstance(given.model, str) else fingerprint,
            **others,
        )

    def require_travel(self) -> None:
        """Raise `BadInputError` if other processes cannot be given what was given."""
        if self.stays:
            raise BadInputError(
                f"The network or the data cannot be handed to other processes ({self.stays}): "
                "use one worker."
            )

    def __call__(self) -> int | None:
        """Take a trial and run it; see `search.workers.worker.run_next`."""
        with _ONE_AT_A_TIME:
            PROGRESS.begin(self.paths.study)
            worker = _worker(self)
            try:
                finished = worker.run_next()
            except Exception:
                if not worker.is_gone():
                    raise
                worker.follow()
                return None
            return None if finished is None else finished._trial_id


@lru_cache(maxsize=1)
def _worker(task: Task) -> StudyWorker:
    """Open the study once per process."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    setup = make_setup(
        pickle.loads(task.given),
        dict(task.settings),
        accelerator=task.accelerator,
        data_root=task.data_root,
        model_fingerprint=task.model_fingerprint or None,
    )
    worker = StudyWorker(
        setup,
        task.paths,
        task.storage,
        task.method,
        heartbeat_seconds=task.heartbeat_seconds,
        progress=PROGRESS,
        opener=join_study,
    )
    worker.open_pipeline(task.cache_bytes)
    worker.use_device()
    return worker
