"""A study whose trials take no time: what is tested is who runs them. Imports no torch."""

import errno
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import optuna
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from objectives.files import write_atomically
from search.storage.database import open_storage, study_lock
from search.storage.paths import StudyPaths
from search.storage.queue import TrialQueue
from search.workers.worker import run_next
from search.workers.worker_progress import PROGRESS

HEARTBEAT_SECONDS = 1
OPENED: list[RDBStorage] = []
"""Whose connections a test closes."""


def close_opened() -> None:
    while OPENED:
        storage = OPENED.pop()
        storage.remove_session()
        storage.engine.dispose()


@dataclass(frozen=True)
class StubTask:
    """Runs one trial of the numbers 0 to `count`; the value of a trial is its number's square."""

    folder: Path
    url: str
    count: int = 12
    seconds: float = 0.0
    """That a trial takes."""
    deadly: tuple[int, ...] = ()
    """Numbers whose trials kill their worker, as the system does when memory runs out."""
    lives: int = 1
    """How often they do."""

    def queue(self) -> TrialQueue:
        paths = StudyPaths(self.folder, "stub")
        paths.make()
        lock = study_lock(self.url, paths)
        with lock:
            storage = open_storage(self.url, heartbeat_seconds=HEARTBEAT_SECONDS)
            study = optuna.create_study(
                storage=storage, study_name="stub", load_if_exists=True, direction="maximize"
            )
        OPENED.append(storage)
        return TrialQueue(study, storage, [{"x": float(x)} for x in range(self.count)], lock)

    def objective(self, trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1000)
        deaths = self.folder / f"deaths-{x:.0f}"
        if x in self.deadly and (not deaths.exists() or len(deaths.read_text()) < self.lives):
            with deaths.open("a") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            PROGRESS.check()
            time.sleep(0.02)
        return x * x

    def __call__(self) -> int | None:
        PROGRESS.begin("stub")
        finished = run_next(_queue_of(self), self.objective)
        return None if finished is None else finished._trial_id


_QUEUES: dict[StubTask, TrialQueue] = {}


def _queue_of(task: StubTask) -> TrialQueue:
    if task not in _QUEUES:
        _QUEUES[task] = task.queue()
    return _QUEUES[task]


class DyingTask(StubTask):
    """Kills its worker before it has taken a trial."""

    def __call__(self) -> int | None:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


class FullDiskTask(StubTask):
    """Finds no room for its artifact, until somebody makes room."""

    def make_room(self) -> None:
        (self.folder / "room").touch()

    def objective(self, trial: optuna.Trial) -> float:
        x = super().objective(trial)
        if not (self.folder / "room").exists():
            full = OSError(errno.ENOSPC, "No space left on device")
            with patch("objectives.files.os.fsync", side_effect=full):
                write_atomically(self.folder / f"artifact-{x:.0f}", b"the file")
        return x


def in_state(queue: TrialQueue, *states: TrialState) -> Sequence[optuna.trial.FrozenTrial]:
    return queue.study.get_trials(deepcopy=False, states=states)


def finished_numbers(queue: TrialQueue) -> list[float]:
    """Return the number of each complete trial, in order; each value must be its square."""
    trials = in_state(queue, TrialState.COMPLETE)
    assert all(trial.value == trial.params["x"] ** 2 for trial in trials)
    return sorted(trial.params["x"] for trial in trials)
