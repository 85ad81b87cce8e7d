"""Workers that are real processes, on SQLite and on a real PostgreSQL, and what befalls them."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState
from stub_study import DyingTask, FullDiskTask, StubTask, close_opened, finished_numbers, in_state
from waiting import wait_until

from benchmarks.postgres import PostgresServer
from models.errors import BadInputError
from objectives.errors import DiskFullError
from objectives.progress import SilentProgress, StopRequested
from search.storage.queue import FAILURE, WORKER, TrialQueue
from search.workers.dispatch import dispatch
from search.workers.executors import LocalWorkers

pytestmark = pytest.mark.faults

ALL = [float(x) for x in range(12)]


@pytest.fixture(autouse=True)
def closed_connections() -> Iterator[None]:
    yield
    close_opened()


def drive_stub(
    task: StubTask, *, workers: int = 2, progress: SilentProgress | None = None, **limits: object
) -> list[FrozenTrial]:
    told: list[FrozenTrial] = []
    dispatch(
        task.queue(),
        LocalWorkers(workers),
        task,
        progress=progress or SilentProgress(),
        on_finished=told.append,
        **limits,
    )
    return told


class StopWhen(SilentProgress):
    """Asks to stop as soon as something holds."""

    def __init__(self, holds: Callable[[], bool]) -> None:
        self._holds = holds

    def check(self) -> None:
        if self._holds():
            raise StopRequested


def test_two_workers_run_each_trial_once_and_a_resume_with_three_runs_nothing(
    tmp_path: Path, database: str
) -> None:
    task = StubTask(tmp_path, database, seconds=0.3)
    told = drive_stub(task)
    assert sorted(trial.params["x"] for trial in told) == ALL
    assert finished_numbers(task.queue()) == ALL
    workers = {trial.user_attrs[WORKER] for trial in task.queue().study.trials}
    assert len(workers) == 2
    assert f"{os.getpid()}" not in {worker.rpartition(":")[2] for worker in workers}
    assert drive_stub(task, workers=3) == []


def test_a_worker_that_is_killed_costs_its_trial_one_attempt(
    tmp_path: Path, database: str
) -> None:
    task = StubTask(tmp_path, database, deadly=(3,), seconds=0.1)
    drive_stub(task)
    queue = task.queue()
    assert finished_numbers(queue) == ALL
    failed = in_state(queue, TrialState.FAIL)
    assert [trial.params["x"] for trial in failed] == [3.0]
    assert FAILURE not in failed[0].user_attrs
    assert not in_state(queue, TrialState.RUNNING, TrialState.WAITING)


def test_a_trial_that_kills_every_worker_fails_with_its_reason_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'stub.db'}"
    task = StubTask(tmp_path, url, count=4, deadly=(1,), lives=99)
    drive_stub(task)
    queue = task.queue()
    assert finished_numbers(queue) == [0.0, 2.0, 3.0]
    reasons = [trial.user_attrs.get(FAILURE) for trial in in_state(queue, TrialState.FAIL)]
    assert reasons == [
        None,
        None,
        "Its worker died of SIGKILL, as when memory runs out. It was tried 3 times.",
    ]


def test_workers_that_die_before_they_take_a_trial_end_the_command_in_one_line(
    tmp_path: Path,
) -> None:
    task = DyingTask(tmp_path, f"sqlite:///{tmp_path / 'stub.db'}", count=2)
    with pytest.raises(BadInputError, match="3 workers in a row died before they took a trial"):
        drive_stub(task, workers=1)
    assert len(in_state(task.queue(), TrialState.WAITING)) == 2


def test_a_stop_puts_running_trials_back_and_leaves_no_process(tmp_path: Path) -> None:
    task = StubTask(tmp_path, f"sqlite:///{tmp_path / 'stub.db'}", seconds=60)
    queue = task.queue()
    both_run = StopWhen(lambda: len(in_state(queue, TrialState.RUNNING)) == 2)
    with pytest.raises(StopRequested):
        drive_stub(task, progress=both_run)
    assert len(in_state(queue, TrialState.WAITING)) == len(ALL)
    assert multiprocessing.active_children() == []
    drive_stub(StubTask(tmp_path, task.url))
    assert finished_numbers(queue) == ALL
    assert len(queue.study.trials) == len(ALL)


def test_no_more_trials_than_were_asked_for(tmp_path: Path) -> None:
    task = StubTask(tmp_path, f"sqlite:///{tmp_path / 'stub.db'}")
    assert len(drive_stub(task, max_trials=3)) == 3
    assert drive_stub(task, timeout_seconds=0) == []
    assert len(in_state(task.queue(), TrialState.COMPLETE)) == 3


def a_driver_of_two(task: StubTask) -> tuple[SpawnProcess, list[int]]:
    """Return a process that drives two workers, both in a trial, and the ids of these."""
    queue = task.queue()
    driver = multiprocessing.get_context("spawn").Process(target=drive_stub, args=(task,))
    driver.start()
    wait_until(
        lambda: sum(WORKER in t.user_attrs for t in in_state(queue, TrialState.RUNNING)) == 2
    )
    names = [trial.user_attrs[WORKER] for trial in in_state(queue, TrialState.RUNNING)]
    return driver, [int(name.rpartition(":")[2]) for name in names]


def test_workers_of_a_driver_that_is_killed_put_their_trials_back_and_end(
    tmp_path: Path,
) -> None:
    task = StubTask(tmp_path, f"sqlite:///{tmp_path / 'stub.db'}", seconds=60)
    queue = task.queue()
    driver, workers = a_driver_of_two(task)
    os.kill(driver.pid or 0, signal.SIGKILL)
    driver.join()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    assert len(in_state(queue, TrialState.WAITING)) == len(ALL)
    drive_stub(StubTask(tmp_path, task.url))
    assert finished_numbers(queue) == ALL
    assert len(queue.study.trials) == len(ALL)


def test_a_driver_and_a_worker_that_are_killed_at_once_cost_one_attempt(tmp_path: Path) -> None:
    task = StubTask(tmp_path, f"sqlite:///{tmp_path / 'stub.db'}", seconds=60)
    queue = task.queue()
    driver, workers = a_driver_of_two(task)
    for pid in (driver.pid, workers[0]):
        os.kill(pid or 0, signal.SIGKILL)
    driver.join()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    assert len(in_state(queue, TrialState.RUNNING)) == 1
    assert len(in_state(queue, TrialState.WAITING)) == len(ALL) - 1
    drive_stub(StubTask(tmp_path, task.url))
    assert finished_numbers(queue) == ALL
    assert len(in_state(queue, TrialState.FAIL)) == 1
    assert not in_state(queue, TrialState.RUNNING, TrialState.WAITING)


class KillsTheParentOfWorkers(SilentProgress):
    """Kills, once, the process that workers are forked from, while one of them runs a trial."""

    def __init__(self, queue: TrialQueue) -> None:
        self._queue = queue
        self.killed = 0

    def check(self) -> None:
        running = [t for t in in_state(self._queue, TrialState.RUNNING) if WORKER in t.user_attrs]
        if running and not self.killed:
            worker = running[0].user_attrs[WORKER].rpartition(":")[2]
            status = Path(f"/proc/{worker}/status").read_text()
            self.killed = int(status.partition("PPid:")[2].split()[0])
            assert self.killed != os.getpid()
            os.kill(self.killed, signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="there is none")
def test_the_process_that_workers_are_forked_from_is_killed_and_all_is_finished(
    tmp_path: Path,
) -> None:
    task = StubTask(tmp_path, f"sqlite:///{tmp_path / 'stub.db'}", seconds=1)
    queue = task.queue()
    progress = KillsTheParentOfWorkers(queue)
    drive_stub(task, progress=progress)
    assert progress.killed
    assert finished_numbers(queue) == ALL
    assert not in_state(queue, TrialState.RUNNING, TrialState.WAITING)


def test_a_disk_that_is_full_in_a_worker_ends_the_command_and_loses_nothing(
    tmp_path: Path,
) -> None:
    task = FullDiskTask(tmp_path, f"sqlite:///{tmp_path / 'stub.db'}")
    with pytest.raises(DiskFullError, match=r"No space is left for .*artifact"):
        drive_stub(task)
    queue = task.queue()
    assert len(in_state(queue, TrialState.WAITING)) == len(ALL)
    assert not list(tmp_path.glob("*artifact*"))
    task.make_room()
    drive_stub(task)
    assert finished_numbers(queue) == ALL
    assert len(queue.study.trials) == len(ALL)


def test_two_drivers_that_start_at_once_on_a_new_study_share_it(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    task = StubTask(tmp_path, postgres.new_database(), seconds=0.2)
    spawn = multiprocessing.get_context("spawn")
    drivers = [spawn.Process(target=drive_stub, args=(task,)) for _ in range(2)]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    assert [driver.exitcode for driver in drivers] == [0, 0]
    assert finished_numbers(task.queue()) == ALL
    assert len(task.queue().study.trials) == len(ALL)


def test_a_database_server_that_is_restarted_costs_no_trial(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    task = StubTask(tmp_path, postgres.new_database(), seconds=0.5)
    queue = task.queue()
    restarted = threading.Event()

    def restart() -> None:
        wait_until(lambda: len(in_state(queue, TrialState.COMPLETE)) >= 2)
        postgres.stop()
        time.sleep(2)
        postgres.start()
        restarted.set()

    thread = threading.Thread(target=restart)
    thread.start()
    drive_stub(task)
    thread.join()
    assert restarted.is_set()
    assert finished_numbers(task.queue()) == ALL
    assert not in_state(task.queue(), TrialState.RUNNING, TrialState.WAITING)
