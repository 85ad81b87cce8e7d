"""How long a user waits: `python -m benchmarks.startup`.

The seconds of `search.run --help`, and those from the command to the beginning of the first trial
of a new study on embedded data.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime

import optuna
from tabulate import tabulate

RUN = [sys.executable, "-m", "search.run"]


def help_seconds() -> float:
    """Return the wall seconds of `--help`."""
    start = time.perf_counter()
    subprocess.run([*RUN, "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def first_trial_seconds(workers: int) -> float:
    """Return the wall seconds from the command to the beginning of trial 0."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*RUN, "--model", "cnn", "--data", "mnist5k", "--epochs", "1"]
        command += ["--qat-epochs", "0", "--sparsity", "0", "--precision", "32,8"]
        command += ["--workers", str(workers), "--study", "s", "--studies-dir", folder]
        start = datetime.now()  # as Optuna's times, without a zone
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        study = optuna.load_study(study_name="s", storage=f"sqlite:///{folder}/s.db")
        began = min(trial.datetime_start for trial in study.trials if trial.datetime_start)
        return (began - start).total_seconds()


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args(argv).repeats
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    measured = {
        "--help": [help_seconds() for _ in range(repeats)],
        "first trial, 1 worker": [first_trial_seconds(1) for _ in range(repeats)],
        "first trial, 2 workers": [first_trial_seconds(2) for _ in range(repeats)],
    }
    rows = [
        [what, f"{statistics.median(times):.2f}", f"{min(times):.2f}-{max(times):.2f}"]
        for what, times in measured.items()
    ]
    print(tabulate(rows, ["from the command to", "s", "lowest-highest"], "pipe"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
