"""What the storage costs: many trials that do nothing, by several workers, on each database.

`python -m benchmarks.load` runs a search of 1,000 trials, each with as many attributes as a real
one has, by 1, 2, 4 and 8 processes, on SQLite and on PostgreSQL (Debian's, started for it on
loopback), and prints a table: trials per second, milliseconds of one worker per trial, statements
that a trial sends, the database's size, and whether each trial was finished once.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import optuna
import sqlalchemy
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event
from tabulate import tabulate

from benchmarks.postgres import PostgresServer, programs
from objectives.progress import SilentProgress
from search.storage.database import open_storage, study_lock
from search.storage.paths import StudyPaths
from search.storage.queue import SampledQueue
from search.storage.trial_queries import add_index_
from search.workers.dispatch import dispatch
from search.workers.executors import LocalWorkers
from search.workers.worker import run_next

ATTRIBUTES = 28
"""User attributes of a real trial of the paper's grid."""
STATEMENTS = "statements"
"""User attribute: what the trial's worker had sent to the database by its end, in this process."""


@dataclass(frozen=True)
class EmptyTrial:
    """The task: a trial that suggests two numbers and records what a real one records."""

    folder: Path
    url: str
    trials: int

    def queue(self) -> SampledQueue:
        """Open the study, creating it if it is missing."""
        paths = StudyPaths(self.folder, "load")
        paths.make()
        lock = study_lock(self.url, paths)
        with lock:
            storage = open_storage(self.url)
            study = optuna.create_study(storage=storage, study_name="load", load_if_exists=True)
            add_index_(storage.engine)
        return SampledQueue(study, storage, lock, total=self.trials, make_sampler=RandomSampler)

    def __call__(self) -> int | None:
        """Run one trial."""
        queue, sent = opened(self)

        def objective(trial: optuna.Trial) -> float:
            x = trial.suggest_float("sparsity", 0, 1)
            bits = trial.suggest_int("precision", 2, 32)
            measured: dict[str, float] = {f"attribute-{n}": x for n in range(ATTRIBUTES)}
            queue.queries.record(trial._trial_id, measured | {STATEMENTS: sent.total()})
            return x * bits

        finished = run_next(queue, objective)
        return None if finished is None else finished._trial_id


@lru_cache(maxsize=1)
def opened(task: EmptyTrial) -> tuple[SampledQueue, Counter[str]]:
    """Return the queue, and a count of the statements that it sends; once per process."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    queue = task.queue()
    sent: Counter[str] = Counter()

    @event.listens_for(queue.storage.engine, "before_cursor_execute")
    def count(*_: object) -> None:
        sent["all"] += 1

    return queue, sent


def measure(database: str, url: str, folder: Path, *, trials: int, workers: int) -> list[str]:
    """Run the trials and return a row of the table."""
    task = EmptyTrial(folder, url, trials)
    queue = task.queue()
    ends: list[float] = []

    def note(_: FrozenTrial) -> None:
        ends.append(time.monotonic())

    dispatch(queue, LocalWorkers(workers), task, progress=SilentProgress(), on_finished=note)
    done = queue.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    numbers = {trial.number for trial in done}
    by_worker: dict[str, list[FrozenTrial]] = {}
    for trial in done:
        by_worker.setdefault(trial.user_attrs["worker"], []).append(trial)
    half = len(ends) // 2  # the first half has the start of the processes in it
    per_second = (len(ends) - half - 1) / (ends[-1] - ends[half])
    statements = [
        (last.user_attrs[STATEMENTS] - first.user_attrs[STATEMENTS]) / (len(of_one) - 1)
        for of_one in by_worker.values()
        if len(of_one) > 1
        for first, last in [(of_one[0], of_one[-1])]
    ]
    sizes = {"SQLite": sqlite_bytes, "PostgreSQL": _postgres_bytes}
    row = [
        database,
        str(workers),
        f"{per_second:.1f}",
        f"{1000 * workers / per_second:.0f}",
        f"{sum(statements) / len(statements):.0f}",
        f"{sizes[database](queue.storage.engine) / 1e6:.1f}",
        f"{len(done)} of {trials}, {len(numbers)} different",
    ]
    queue.storage.engine.dispose()
    return row


def sqlite_bytes(engine: sqlalchemy.Engine) -> int:
    """Return the size of the database's file and of its log."""
    file = Path(str(engine.url.database))
    return sum(part.stat().st_size for part in file.parent.glob(f"{file.name}*"))


def _postgres_bytes(engine: sqlalchemy.Engine) -> int:
    with engine.connect() as connection:
        query = sqlalchemy.text("SELECT pg_database_size(current_database())")
        return int(connection.execute(query).scalar_one())


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--databases", nargs="+", default=["SQLite", "PostgreSQL"])
    options = parser.parse_args(argv)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    bin_folder = programs()
    server = (
        PostgresServer(bin_folder) if bin_folder and "PostgreSQL" in options.databases else None
    )
    rows = []
    for database in options.databases:
        for workers in options.workers:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                url = f"sqlite:///{folder / 'load.db'}"
                if database == "PostgreSQL":
                    if server is None:
                        continue
                    url = server.new_database()
                rows.append(measure(database, url, folder, trials=options.trials, workers=workers))
                print(tabulate(rows[-1:], tablefmt="plain"), file=sys.stderr)
    if server is not None:
        server.remove()
    headers = ["database", "workers", "trials/s", "ms/trial", "statements/trial", "MB", "finished"]
    print(tabulate(rows, headers, "pipe", disable_numparse=True))
    print(f"\n{options.trials} trials each, {os.cpu_count()} cores")
    return 0


if __name__ == "__main__":
    sys.exit(main())
