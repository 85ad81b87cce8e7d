"""Workers that begin at once, forked from a process that has imported what they need."""

import gc
import os
import subprocess
import sys

import pytest

from search import run
from search.workers import fork_server
from search.workers.executors import LocalWorkers
from search.workers.fork_server import end_importing

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="others import by themselves")

ALONE = """
import search.workers.preload
print(open("/proc/self/status").read().partition("Threads:")[2].split()[0])
"""


def parent() -> int:
    return os.getppid()


def objects_passed_over() -> int:
    return gc.get_freeze_count()


def test_workers_have_one_parent_which_is_not_the_driver_and_collections_are_quick() -> None:
    workers = LocalWorkers(2)
    parents = {workers.submit(parent).result() for _ in range(4)}
    passed_over = workers.submit(objects_passed_over).result()
    workers.stop()
    assert len(parents) == 1
    assert os.getpid() not in parents
    assert passed_over is not None
    assert passed_over > 300_000


def test_that_process_ends_where_no_worker_is_wanted_and_begins_again_for_one_that_is() -> None:
    parents = []
    for _ in range(2):
        workers = LocalWorkers(1)
        parents.append(workers.submit(parent).result())
        workers.stop()
        end_importing()
        with pytest.raises(ProcessLookupError):
            os.kill(parents[-1] or 0, 0)
    assert parents[0] != parents[1]
    end_importing()


def test_the_process_that_workers_are_forked_from_has_no_thread_that_they_would_miss() -> None:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # it starts its threads again itself
    told = subprocess.run(
        [sys.executable, "-c", ALONE], env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout == "1\n"


@pytest.mark.parametrize(
    ("given", "times"),
    [
        (("", 2), 1),
        (("", 1), 0),
        (("--workers 2", 1), 1),
        (("--workers 1", 2), 0),
        (("--cluster tcp://127.0.0.1:1", 2), 0),
    ],
)
def test_a_command_without_workers_of_its_own_starts_no_such_process(
    given: tuple[str, int], times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, cores = given
    monkeypatch.setattr(run, "usable_cores", lambda: cores)
    started: list[bool] = []
    monkeypatch.setattr(fork_server, "begin_to_import", lambda: started.append(True))
    assert run.main(["--model", "nonsense", *options.split()]) == 2
    assert len(started) == times
