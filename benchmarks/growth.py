"""What a trial costs when many came before it: `python -m benchmarks.growth`.

One process runs 10,000 trials that record what a real one records (`benchmarks.load`) on SQLite.
Each row is about the last trials before so many: what one takes, the statements that it sends to
the database, the process's memory and the database's size. Beside it, what TPE takes to suggest
that many dimensions as the space `wide` has, with so many finished trials to learn from.
"""

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial
from tabulate import tabulate

from benchmarks.load import EmptyTrial, opened, sqlite_bytes
from search.sampling.sampler_choice import sampler_maker

LOOKED_AT = 50
"""Trials before each milestone that a row is about; of the first ten, all."""
DIMENSIONS = 8
"""Of the space `wide` with the methods prune and quantize."""


def tpe_milliseconds(finished: int) -> float:
    """Return the median time of one suggestion of all dimensions."""
    space = {f"x{number}": FloatDistribution(0, 1) for number in range(DIMENSIONS)}
    study = optuna.create_study(sampler=sampler_maker("tpe", 0)(finished))
    study.add_trials(
        create_trial(
            params={name: 37 * number * axis % 101 / 101 for axis, name in enumerate(space, 1)},
            distributions=dict(space),
            value=number % 97,
            state=TrialState.COMPLETE,
        )
        for number in range(finished)
    )
    times = []
    for _ in range(3):
        start = time.perf_counter()
        study.ask(fixed_distributions=dict(space))
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--milestones", type=int, nargs="+", default=[10, 100, 1000, 3000, 10_000])
    milestones = parser.parse_args(argv).milestones
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        task = EmptyTrial(Path(name), f"sqlite:///{name}/load.db", milestones[-1])
        queue, sent = opened(task)
        times, counts = [], []
        for number in range(1, milestones[-1] + 1):
            before, start = sent.total(), time.perf_counter()
            task()
            times.append(time.perf_counter() - start)
            counts.append(sent.total() - before)
            if number in milestones:
                rows.append(
                    [
                        f"{number:,}",
                        f"{1000 * statistics.median(times[-LOOKED_AT:]):.1f}",
                        f"{statistics.mean(counts[-LOOKED_AT:]):.0f}",
                        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f}",
                        f"{sqlite_bytes(queue.storage.engine) / 1e6:.2f}",
                        f"{tpe_milliseconds(number):.0f}",
                    ]
                )
                print(*rows[-1], file=sys.stderr)
        queue.storage.engine.dispose()
    headers = ["trials", "ms of one", "statements", "process, MB", "database, MB", "TPE, ms"]
    print(tabulate(rows, headers, "pipe", disable_numparse=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
