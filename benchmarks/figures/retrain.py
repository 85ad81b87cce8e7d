"""One row of each table, trained anew: whether today's code still gives it.

The last bits of a training depend on the processor, so bytes must be equal on a processor that the
row was made on before, and within 1 % on another.
"""

import csv
import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.figures.rows import read
from benchmarks.figures.tables import GRID, LENETS
from search import run
from search.storage.paths import StudyPaths
from search.storage.study import load_study

ONE_EPOCH = GRID / "one-epoch.csv"
"""One row of the grid after one epoch each on 5,000 embedded digits, by processor."""
ELSEWHERE = 0.01
"""By how much bytes may differ on another processor, of the committed ones."""
ROUNDED = 1e-6
"""Committed numbers are rounded by less."""
COMPARED = ("artifact_bytes", "container_bytes", "val_accuracy_pct", "test_accuracy_pct")
POINT = ("--sparsity", "0.9", "--precision", "8")
QUICK = ("--data", "mnist5k", "--epochs", "1", "--fine-tune-epochs", "1", "--qat-epochs", "1")


@dataclass(frozen=True, slots=True)
class Retrained:
    """A committed row, and what makes it again."""

    row: Mapping[str, str]
    what: str
    command: tuple[str, ...]


def retrained(data_root: Path) -> list[Retrained]:
    """Return a row of each table that today's code has made; the data root has MNIST."""
    data = ("--data", "mnist", "--data-root", str(data_root))
    others = {"ptq": ("--qat-epochs", "0"), "global": ("--allocation", "global"), "qat": ()}
    grids = [
        Retrained(
            next(
                row
                for row in read(GRID / f"{kind}-seed0.csv")
                if (row["sparsity"], row["precision"]) == ("0.9", "8")
            ),
            f"{GRID.name}, {kind}",
            ("--model", "cnn", *data, *POINT, *options),
        )
        for kind, options in others.items()
    ]
    shifted = ("--augment", "shift", "--methods", "prune,cluster,arithmetic")
    lenets = [
        Retrained(
            next(row for row in read(folder / "files.csv") if row["file"] == "seed-0.onc"),
            folder.name,
            ("--model", name, *data, *shifted, "--plan", (folder / "plan.json").read_text()),
        )
        for name, folder in zip(("lenet300", "lenet5"), LENETS.values(), strict=True)
    ]
    return [*grids, *lenets]


def processor() -> str:
    """Return which processor this is, and the instructions that torch uses of it."""
    facts = {"model name": platform.machine(), "cpu family": "", "model": ""}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = [line.partition(":") for line in cpuinfo.read_text().splitlines()]
        told = {name.strip(): value.strip() for name, _, value in reversed(lines)}
        facts |= {name: told[name] for name in facts if name in told}
    return " ".join([*facts.values(), torch.backends.cpu.get_cpu_capability()])


def trained(arguments: Sequence[str]) -> dict[str, float]:
    """Return what one trial of `search.run` with these options measures, on one thread."""
    with tempfile.TemporaryDirectory() as folder:
        paths = StudyPaths(Path(folder), "again")
        where = ("--study", paths.study, "--studies-dir", folder)
        alone = ("--workers", "1", "--threads", "1", "--accelerator", "cpu")
        if run.main([*arguments, *alone, *where]) != 0:
            raise RuntimeError(f"`search.run {' '.join(arguments)}` did not end well.")
        (trial,) = load_study(paths.study, paths.url).trials
    return {name: float(trial.user_attrs[name]) for name in COMPARED}


def one_epoch() -> dict[str, float]:
    """Return the row that `ONE_EPOCH` has, trained now, in seconds."""
    return trained(["--model", "cnn", *POINT, *QUICK])


def differing(
    row: Mapping[str, str], measured: Mapping[str, float], *, exactly: bool
) -> list[str]:
    """Return what of `measured` is not as in the committed `row`."""
    allowed = 0.0 if exactly else ELSEWHERE
    return [
        f"{name} is {measured[name]:.6g}, committed is {row[name]}"
        for name in COMPARED
        if row.get(name)
        and abs(measured[name] - float(row[name])) > allowed * float(row[name]) + ROUNDED
        and (exactly or name.endswith("bytes"))
    ]


def check_one_epoch() -> list[str]:
    """Return how today's code parts from `ONE_EPOCH`."""
    rows = {row["processor"]: row for row in read(ONE_EPOCH)}
    here = processor()
    row = rows.get(here, next(iter(rows.values())))
    return [
        f"{ONE_EPOCH}: {each}: run the grid again, and `python -m benchmarks.figures --record`."
        for each in differing(row, one_epoch(), exactly=here in rows)
    ]


def record_one_epoch() -> None:
    """Put today's row for this processor into `ONE_EPOCH`."""
    rows = {row["processor"]: row for row in read(ONE_EPOCH)} if ONE_EPOCH.is_file() else {}
    measured = {name: repr(value) for name, value in one_epoch().items()}
    rows[processor()] = {"processor": processor(), **measured}
    with ONE_EPOCH.open("w", newline="") as out:
        writer = csv.DictWriter(out, ["processor", *COMPARED], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[name] for name in sorted(rows))


def check_retrained(data_root: Path) -> list[str]:
    """Return how rows that are trained anew part from the committed ones; it takes minutes."""
    rows = {row["processor"] for row in read(ONE_EPOCH)}
    faults = []
    for each in retrained(data_root):
        found = differing(each.row, trained(each.command), exactly=processor() in rows)
        faults += [f"{each.what}: {fault}" for fault in found]
    return faults
