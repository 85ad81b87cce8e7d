"""A database server that stays away: one line that says how to go on, and nothing is lost."""

import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState
from stub_study import StubTask, close_opened, finished_numbers, in_state
from waiting import wait_until

from benchmarks.postgres import PostgresServer
from objectives.errors import AwayError
from objectives.progress import SilentProgress
from search.storage import reconnecting
from search.storage.database import open_storage
from search.workers.dispatch import dispatch
from search.workers.executors import LocalWorkers

pytestmark = pytest.mark.faults

GRID = ["--model", "cnn", "--data", "mnist5k", "--train-fraction", "0.1", "--epochs", "1"]
GRID += ["--qat-epochs", "0", "--sparsity", "0,0.5,0.9", "--precision", "32,8"]


IMPATIENT = """
import sys
from search import {command}
from search.storage import reconnecting
reconnecting.AWAY_SECONDS = 2
sys.exit({command}.main())
"""


def called(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = IMPATIENT.format(command=command)
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)


def complete(url: str) -> list[FrozenTrial]:
    """Return the finished trials of the study `s`."""
    storage = open_storage(url)
    try:
        names = optuna.get_all_study_names(storage)
        states = (TrialState.COMPLETE,)
        study = optuna.load_study(study_name="s", storage=storage) if "s" in names else None
        return study.get_trials(states=states) if study else []
    finally:
        storage.remove_session()
        storage.engine.dispose()


@contextmanager
def stopped_when(server: PostgresServer, holds: Callable[[], bool]) -> Iterator[None]:
    """Stop the server in the block as soon as something holds; start it after the block."""

    def stop() -> None:
        wait_until(holds)
        server.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        server.start()


class ImpatientTask(StubTask):
    """Waits as briefly in its own process."""

    def __call__(self) -> int | None:
        reconnecting.AWAY_SECONDS = 2
        return super().__call__()


@pytest.fixture
def closed_connections() -> Iterator[None]:
    yield
    close_opened()


@pytest.mark.usefixtures("closed_connections")
def test_workers_whose_database_stays_away_end_in_one_line_and_lose_no_finished_trial(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnecting, "AWAY_SECONDS", 2)
    task = ImpatientTask(tmp_path, postgres.new_database(), seconds=0.5)
    queue = task.queue()

    def drive() -> None:
        workers = LocalWorkers(2)
        progress = SilentProgress()
        dispatch(queue, workers, task, progress=progress, on_finished=lambda _: None)

    two = lambda: len(in_state(queue, TrialState.COMPLETE)) >= 2  # noqa: E731 - asked again
    with (
        stopped_when(postgres, two),
        pytest.raises(AwayError, match=r"The database postgresql.*:\*\*\*@.* stays away, .*\.$"),
    ):
        drive()
    before = finished_numbers(queue)
    assert len(before) >= 2
    drive()
    assert finished_numbers(queue) == [float(x) for x in range(12)]


def test_a_command_whose_database_stays_away_says_how_to_go_on_and_does(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    url = postgres.new_database()
    arguments = [*GRID, "--study", "s", "--storage", url, "--studies-dir", str(tmp_path)]
    arguments += ["--workers", "1", "--heartbeat", "1"]
    with stopped_when(postgres, lambda: bool(complete(url))):
        ended = called("run", *arguments)
    assert ended.returncode == 1
    line = ended.stderr.splitlines()[-1]
    assert re.fullmatch(
        r"The database postgresql\S+ stays away, for 2 s now: .*\. Nothing that was finished is "
        r"lost\. When it is back: python\S* -m search\.run --model cnn .*",
        line,
    )
    assert "secret" not in ended.stderr
    assert "Traceback" not in ended.stderr
    before = {trial.number: trial.datetime_complete for trial in complete(url)}
    assert called("run", *arguments).returncode == 0
    trials = complete(url)
    found = sorted((t.params["sparsity"], t.params["precision"]) for t in trials)
    assert found == [(x, bits) for x in (0.0, 0.5, 0.9) for bits in (8, 32)]
    assert before.items() <= {t.number: t.datetime_complete for t in trials}.items()


@pytest.mark.parametrize("command", ["run", "export"])
def test_a_database_that_is_not_there_at_the_start_is_one_line_before_anything_is_made(
    tmp_path: Path, command: str
) -> None:
    url = "postgresql+psycopg://me:secret@127.0.0.1:1/x"
    given = GRID if command == "run" else ["--out", str(tmp_path / "out")]
    where = ["--study", "s", "--storage", url, "--studies-dir", str(tmp_path)]
    ended = called(command, *given, *where)
    assert ended.returncode == 2
    assert re.fullmatch(
        r"The storage postgresql\S+ does not open: .*refused.* same command goes on\.\n",
        ended.stderr,
    )
    assert not list(tmp_path.iterdir())
