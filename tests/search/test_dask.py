"""A real Dask cluster: a scheduler and two workers, each a process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.trial import TrialState
from stub_study import StubTask, finished_numbers, in_state

from models.errors import BadInputError
from objectives.progress import SilentProgress, StopRequested
from search.storage.queue import WORKER
from search.storage.study import load_study
from search.workers.dispatch import dispatch
from search.workers.executors import ClusterWorkers

pytestmark = pytest.mark.faults

TESTS = Path(__file__).parent.parent


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """The address of a scheduler with two workers, which it does not replace."""
    file = tmp_path / "scheduler.json"
    quiet = ["--no-dashboard", "--scheduler-file", str(file)]
    paths = os.environ | {"PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
    commands = [["scheduler", "--host", "127.0.0.1", "--port", "0", *quiet]]
    commands += [["worker", "--no-nanny", "--nthreads", "1", *quiet]] * 2
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + command[0], *command[1:]],
            env=paths,
            cwd=tmp_path,
            stderr=subprocess.DEVNULL,
        )
        for command in commands
    ]
    while not file.exists():
        assert processes[0].poll() is None
        time.sleep(0.1)
    yield json.loads(file.read_text())["address"]
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()


def drive_stub(task: StubTask, address: str, progress: SilentProgress) -> None:
    dispatch(
        task.queue(),
        ClusterWorkers(address, "stub", 2),
        task,
        progress=progress,
        on_finished=lambda trial: None,  # noqa: ARG005 - a callback
    )


class KillOnce(SilentProgress):
    """Kills the first worker that runs a trial."""

    def __init__(self, task: StubTask) -> None:
        self._queue = task.queue()
        self.killed: str | None = None

    def check(self) -> None:
        for trial in in_state(self._queue, TrialState.RUNNING):
            if self.killed is None and WORKER in trial.user_attrs:
                self.killed = trial.user_attrs[WORKER]
                os.kill(int(self.killed.rpartition(":")[2]), signal.SIGKILL)


def test_a_cluster_finishes_each_trial_once_though_a_worker_is_killed(
    tmp_path: Path, cluster: str
) -> None:
    task = StubTask(tmp_path, f"sqlite:///{tmp_path / 'stub.db'}", count=8, seconds=0.5)
    killer = KillOnce(task)
    drive_stub(task, cluster, killer)
    assert killer.killed is not None
    queue = task.queue()
    assert finished_numbers(queue) == [float(x) for x in range(8)]
    assert len(in_state(queue, TrialState.FAIL)) == 1
    assert not in_state(queue, TrialState.RUNNING, TrialState.WAITING)
    workers = {trial.user_attrs[WORKER] for trial in in_state(queue, TrialState.COMPLETE)}
    assert str(os.getpid()) not in {worker.rpartition(":")[2] for worker in workers}


def test_the_command_lets_a_cluster_run_real_trials(tmp_path: Path, cluster: str) -> None:
    command = ["--model", "cnn", "--data", "mnist5k", "--epochs", "1", "--qat-epochs", "1"]
    command += ["--sparsity", "0", "--precision", "32,8", "--cluster", cluster]
    command += ["--studies-dir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "search.run", *command], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    study = load_study("cnn-mnist5k-paper", f"sqlite:///{tmp_path / 'cnn-mnist5k-paper.db'}")
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 2
    assert all((tmp_path / trial.user_attrs["artifact"]).is_file() for trial in study.trials)
    assert "Report: " in done.stdout


class StopWhenRunning(SilentProgress):
    def __init__(self, task: StubTask) -> None:
        self._queue = task.queue()

    def check(self) -> None:
        if in_state(self._queue, TrialState.RUNNING):
            raise StopRequested


def test_a_stop_puts_the_trials_of_a_cluster_back(tmp_path: Path, cluster: str) -> None:
    task = StubTask(tmp_path, f"sqlite:///{tmp_path / 'stub.db'}", count=8, seconds=60)
    with pytest.raises(StopRequested):
        drive_stub(task, cluster, StopWhenRunning(task))
    assert len(in_state(task.queue(), TrialState.WAITING)) == 8


def test_an_address_where_nobody_answers_is_one_line() -> None:
    with pytest.raises(BadInputError, match=r"`--cluster tcp://127\.0\.0\.1:1`: no scheduler"):
        ClusterWorkers("tcp://127.0.0.1:1", "stub")
