"""What each trick gains: `python -m benchmarks.weighed [TRICK ...]`.

The same work is timed with the trick and without, in turn, each time in a process of its own, in
which a line of Python has taken the trick away. Printed are medians, and the median of the ratios
with the lowest and the highest. A trick stays if it saves a tenth of what a user waits for.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import NamedTuple

from tabulate import tabulate

STUDY = ("--model", "cnn", "--data", "mnist5k", "--epochs", "2", "--qat-epochs", "1")
GRID = ("--sparsity", "0,0.9", "--precision", "32,8")
TRAINED = "from benchmarks.weighed import epoch_seconds; print(epoch_seconds({model!r}))"
ASKED = "from benchmarks.weighed import asking_seconds; print(asking_seconds())"
SEARCHED = "import sys; from search.run import main; sys.exit(main())"
WAITING_TRIALS = 1000

NO_KEPT_MEMORY = (
    "import contextlib, objectives.training.loop as m; "
    "m.freed_memory_kept = contextlib.nullcontext"
)
NO_RUNS = "import models.images as m; m.LONGEST_RUN = 1"
COLLECTED = "import gc; gc.disable = gc.freeze = lambda: None"
SPAWNED = (
    "import multiprocessing, search.workers.fork_server as m; "
    "m.process_context = lambda *, gpus: multiprocessing.get_context('spawn'); "
    "m.begin_to_import = lambda: None"
)
OPTUNAS_QUERY = (
    "import optuna; from search.storage.trial_queries import TrialQueries as m; "
    "m.waiting = lambda self: self.study.get_trials(states=(optuna.trial.TrialState.WAITING,))"
)


class Trick(NamedTuple):
    """What is timed, and what takes the trick away."""

    name: str
    what: str
    """The work, in words."""
    without: str
    work: str
    """Python, which prints seconds unless it is a whole study."""
    workers: int | None = None
    """Of the study."""


TRICKS = (
    *(
        Trick("malloc", f"epoch of {model}", NO_KEPT_MEMORY, TRAINED.format(model=model))
        for model in ("cnn", "lenet5", "alexnet")
    ),
    *(
        Trick("runs", f"epoch of {model}", NO_RUNS, TRAINED.format(model=model))
        for model in ("cnn", "lenet300")
    ),
    Trick("gc", "study of 4 trials, 1 worker", COLLECTED, SEARCHED, workers=1),
    Trick("fork_server", "study of 4 trials, 2 workers", SPAWNED, SEARCHED, workers=2),
    Trick("trial_queries", f"next of {WAITING_TRIALS} waiting trials", OPTUNAS_QUERY, ASKED),
)


def epoch_seconds(model: str) -> float:
    """Return the wall seconds of an epoch as a trial trains it, the second of two."""
    from benchmarks.training import CASES, prepared, seconds
    from objectives.training.loop import train_

    case = CASES[model]
    context, spec = prepared(case)

    def train() -> None:
        network = context.build_network()
        train_(
            network,
            context,
            stage="train",
            epochs=case.epochs,
            batch_size=spec.batch_size,
            lr=spec.lr,
        )

    train()
    return seconds(train) / case.epochs


def asking_seconds() -> float:
    """Return the wall seconds of a question for the next trial where many wait."""
    import optuna

    from search.storage.trial_queries import TrialQueries

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        study = optuna.create_study(storage=f"sqlite:///{folder}/s.db")
        for number in range(WAITING_TRIALS):
            study.enqueue_trial({"sparsity": number / WAITING_TRIALS})
        storage = study._storage._backend  # type: ignore[attr-defined] # behind Optuna's cache
        queries = TrialQueries(storage, study._study_id, "worker")
        queries.study = optuna.load_study(study_name=study.study_name, storage=storage)  # type: ignore[attr-defined]
        queries.waiting()
        start = time.perf_counter()
        assert queries.waiting()
        return time.perf_counter() - start


def seconds_of(trick: Trick, *, with_it: bool) -> float:
    """Return the seconds of the work, with the trick or without it."""
    prelude = "" if with_it else f"{trick.without}\n"
    command = [sys.executable, "-c", prelude + trick.work]
    if trick.workers is None:
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        return float(printed.split()[-1])
    with tempfile.TemporaryDirectory() as folder:
        command += [*STUDY, *GRID, "--workers", str(trick.workers)]
        start = time.perf_counter()
        where = ("--study", "s", "--studies-dir", folder)
        subprocess.run([*command, *where], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start


def row(trick: Trick, repeats: int) -> list[str]:
    """Return what is shown of a trick."""
    pairs = [[seconds_of(trick, with_it=each) for each in (True, False)] for _ in range(repeats)]
    ratios = [without / with_it for with_it, without in pairs]
    return [
        trick.name,
        trick.what,
        *(f"{statistics.median(times):.3g}" for times in zip(*pairs, strict=True)),
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = sorted({trick.name for trick in TRICKS})
    parser.add_argument("tricks", nargs="*", default=names, metavar="TRICK")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(argv)
    rows = [row(trick, options.repeats) for trick in TRICKS if trick.name in options.tricks]
    headers = ["trick", "work", "s", "s without", "without / with"]
    print(tabulate(rows, headers, "pipe", disable_numparse=True))


if __name__ == "__main__":
    main()
