"""Trials that failed, tried again."""

from collections.abc import Callable
from pathlib import Path

import pytest
from optuna import Trial
from optuna.trial import FrozenTrial, TrialState

from objectives.errors import BaselineError, TrialError
from objectives.progress import SilentProgress
from search.sampling.sampler_choice import sampler_maker
from search.settings.config import StudyConfig
from search.storage.failed import failed_baseline, failed_for_good, retry_failed
from search.storage.paths import StudyPaths
from search.storage.queue import RETRIES, SampledQueue, TrialQueue
from search.storage.study import open_study
from search.workers.worker import work

CONFIG = StudyConfig(
    model="cnn", data="mnist5k", epochs=1, qat_epochs=1, batch_size=64, lr=0.01, sparsity=(0, 0.5)
)
GRID = [{"sparsity": sparsity, "precision": 32} for sparsity in (0.0, 0.5, 0.9)]


def a_queue(folder: Path, *, sampled: int | None = None) -> TrialQueue:
    paths = StudyPaths(folder, "toy")
    paths.make()
    study, storage, lock = open_study(paths, paths.url, CONFIG, heartbeat_seconds=1, threads=1)
    if sampled is None:
        return TrialQueue(study, storage, GRID, lock)
    make = sampler_maker("random", 0)
    return SampledQueue(study, storage, lock, total=sampled, make_sampler=make)


def failing(*numbers: int, error: type[TrialError] = TrialError) -> Callable[[Trial], float]:
    def objective(trial: Trial) -> float:
        sparsity = trial.suggest_float("sparsity", 0, 1)
        trial.suggest_categorical("precision", [32])
        if trial.number in numbers:
            raise error("The loss became nan.")
        return sparsity

    return objective


def worked(queue: TrialQueue, objective: Callable[[Trial], float]) -> list[FrozenTrial]:
    finished: list[FrozenTrial] = []
    work(queue, objective, progress=SilentProgress(), on_finished=finished.append)
    return finished


def test_what_failed_of_a_grid_is_tried_again_with_the_same_parameters(tmp_path: Path) -> None:
    worked(a_queue(tmp_path), failing(1, 2))
    assert worked(a_queue(tmp_path), failing()) == []  # it stays so by itself
    queue = a_queue(tmp_path)
    assert retry_failed(queue) == 2
    assert retry_failed(queue) == 0  # as from another process: they wait already
    again = worked(queue, failing(4))
    assert [trial.params for trial in again] == GRID[1:]
    assert [trial.number for trial in failed_for_good(queue.study.trials)] == [4]
    assert again[0].user_attrs[RETRIES] == 1
    assert retry_failed(queue) == 1
    worked(queue, failing())
    assert failed_for_good(queue.study.trials) == []
    done = queue.study.get_trials(states=(TrialState.COMPLETE,))
    assert sorted(trial.params["sparsity"] for trial in done) == [0.0, 0.5, 0.9]


def test_what_failed_of_a_search_is_tried_again_and_counts_once(tmp_path: Path) -> None:
    first = worked(a_queue(tmp_path, sampled=4), failing(1, 3))
    assert len(first) == 4
    queue = a_queue(tmp_path, sampled=4)
    assert retry_failed(queue) == 2
    again = worked(queue, failing())
    assert [trial.params for trial in again] == [first[1].params, first[3].params]
    assert len(worked(a_queue(tmp_path, sampled=6), failing())) == 2


def test_a_baseline_that_fails_ends_the_work_after_one_trial(tmp_path: Path) -> None:
    queue = a_queue(tmp_path)
    with pytest.raises(BaselineError, match="The loss became nan"):
        worked(queue, failing(0, 1, 2, error=BaselineError))
    states = [trial.state for trial in queue.study.trials]
    assert states == [TrialState.FAIL, TrialState.WAITING, TrialState.WAITING]
    failed = failed_baseline(queue.study.trials)
    assert failed is not None
    assert failed.number == 0
    assert retry_failed(queue) == 1
    assert failed_baseline(queue.study.trials) is None
