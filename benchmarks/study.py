"""What a study costs beyond its epochs: `python -m benchmarks.study --data-root data`.

Runs the CNN's full grid of 18 trials on MNIST with a worker for each core, from the command to the
report, into an empty folder. The floor is every epoch that it trained, each once, as a plain torch
loop in one process (`benchmarks.training`), shared out evenly over the workers. The table says
where the rest of the workers' time went.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState
from tabulate import tabulate

from benchmarks.training import CASES, plain_epoch_seconds
from benchmarks.workers import run_grid

BASELINE = "train"
TRAINING = ("prune", "quantize")


def spent(
    trials: list[FrozenTrial], start: datetime, end: datetime, workers: int, floor: float
) -> dict[str, float]:
    """Return seconds of workers by what they were spent on.

    Args:
        trials: Those of the grid, complete.
        start: When the command began.
        end: When it ended.
        workers: How many.
        floor: Seconds of an epoch.
    """
    stages: dict[str, float] = defaultdict(float)
    baselines = sorted(trial.user_attrs["stage_seconds"].get(BASELINE, 0) for trial in trials)
    for trial in trials:
        for stage, took in trial.user_attrs["stage_seconds"].items():
            stages[stage] += took
    epochs = sum(trial.user_attrs["epochs_trained"] for trial in trials)
    in_trials = sum(seconds(trial) for trial in trials)
    first = min(local(trial.datetime_start) for trial in trials)
    last = max(local(trial.datetime_complete) for trial in trials)
    training = baselines[-1] + sum(stages[stage] for stage in TRAINING)
    table = {
        "epochs, at the floor": epochs * floor,
        "epochs, beyond it": training - epochs * floor,
        "waiting for the baseline, reading the cache": sum(baselines[:-1]),
        "export, with quantization": stages["export"],
        "measurement": stages["measure"],
        "containers, coded and decoded": stages["code"],
        "storage, and all else within trials": in_trials - sum(stages.values()),
        "before the first trial": workers * (first - start).total_seconds(),
        "after the last trial": workers * (end - last).total_seconds(),
    }
    total = workers * (end - start).total_seconds()
    return table | {"between trials, and idle at the end": total - sum(table.values())}


def local(moment: datetime | None) -> datetime:
    """Return a time of Optuna's, which has no zone, with one; a complete trial has all times."""
    assert moment is not None
    return moment.astimezone(UTC)


def seconds(trial: FrozenTrial) -> float:
    """Return the wall seconds of a complete trial."""
    assert trial.duration is not None
    return trial.duration.total_seconds()


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("options", nargs="*", help="more options of search.run, after --")
    options = parser.parse_args(argv)
    data = ["--data", "mnist", "--data-root", str(options.data_root)]
    data += ["--workers", str(options.workers), *options.options]
    ratios, tables = [], []
    for repeat in range(options.repeats):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            start = datetime.now(UTC)
            run_grid(folder, data)
            end = datetime.now(UTC)
            study = optuna.load_study(study_name="grid", storage=f"sqlite:///{folder}/grid.db")
            trials = study.get_trials(states=(TrialState.COMPLETE,))
        floor = statistics.median(plain_epoch_seconds(CASES["cnn"]) for _ in range(3))
        table = spent(trials, start, end, options.workers, floor)
        tables.append(table)
        ratios.append(sum(table.values()) / table["epochs, at the floor"])
        print(f"run {repeat + 1}: {end - start}, {ratios[-1]:.2f} of the floor", file=sys.stderr)
    middle = tables[ratios.index(statistics.median_low(ratios))]
    total = sum(middle.values())
    rows = [[what, f"{of:.1f}", f"{100 * of / total:.1f}"] for what, of in middle.items()]
    wall = total / options.workers
    print(f"wall seconds over the floor: {' '.join(f'{ratio:.2f}' for ratio in sorted(ratios))}")
    print(f"of the median run, {wall:.0f} s with {options.workers} workers:\n")
    print(tabulate(rows, ["workers' time", "s", "%"], "pipe", disable_numparse=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
