"""The tables of the records: committed files, and those beside the rows of the paper's CNN."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean

from benchmarks.figures.rows import read
from benchmarks.figures.tables import STUDIES, drawn
from search.results.paper import paper_rows, rerun_rows
from search.results.spread import spread

RECORDS = STUDIES / "2026-11-27-records"
Rows = list[Mapping[str, str]]


@dataclass(frozen=True)
class Goal:
    """What others have reached, and what we asked of a file before we searched for it."""

    network: str
    files: str
    """What the names of our files begin with."""
    raw_bytes: int
    """Of the weights as float32: what `x smaller` counts from, as others count."""
    others: str
    most_bytes: int
    most_error_pct: float
    """On test."""


LENET5, LENET300, RESNET8 = 4 * 431_080, 4 * 266_610, 4 * 78_186
"""Bytes of the parameters as float32."""

GOALS = (
    Goal("LeNet-5", "lenet5-exact", LENET5, "MIRACLE 2018: about 3,100 at 0.69 %", 3000, 0.75),
    Goal("LeNet-5", "lenet5-small", LENET5, "MIRACLE 2018: about 1,600 at 0.96 %", 1500, 1.0),
    Goal("LeNet-300-100", "lenet300-exact", LENET300, "58x to 124x at 1.8 to 2.0 %", 7113, 1.6),
    Goal("LeNet-300-100", "lenet300-small", LENET300, "the same", 4268, 1.9),
    Goal("ResNet-8", "resnet8-small", RESNET8, "MLPerf Tiny, int8: 98,496 at 15 %", 25_000, 15.0),
    Goal("ResNet-8", "resnet8-rounded", RESNET8, "baseline, 90 epochs: 16.31 %", 40_000, 16.31),
    Goal("ResNet-8", "resnet8-exact", RESNET8, "baseline, 180 epochs: 15.63 %", 40_000, 15.63),
)


def records() -> str:
    """The goals, and what was reached in the mean of the seeds."""
    ours = _seeds()
    rows: list[list[object]] = []
    for goal in GOALS:
        cells: list[object] = [goal.network, goal.others]
        cells += [f"{goal.most_bytes:,}", f"{goal.most_error_pct:.2f}"]
        found = ours.get(goal.files, [])
        sizes = [float(row["container_bytes"]) for row in found]
        errors = [100 - float(row["test_accuracy_pct"]) for row in found]
        if not found:
            rows.append([*cells, "", "", "", "0", "no"])
            continue
        fits = mean(sizes) <= goal.most_bytes and mean(errors) <= goal.most_error_pct
        smaller = f"{goal.raw_bytes / mean(sizes):,.0f}"
        ends = [spread(sizes, ",.0f"), smaller, spread(errors, ".2f"), len(found)]
        rows.append([*cells, *ends, "yes" if fits else "no"])
    headers = ["network", "others: bytes or times smaller, error on test"]
    headers += ["asked: bytes", "error %"]
    headers += ["ours: bytes", "x smaller", "error on test %", "seeds", "reached"]
    return drawn(rows, headers, left=2)


def _seeds() -> dict[str, Rows]:
    """Return the rows of the committed files, one for each seed, by what was trained."""
    found: dict[str, Rows] = {}
    for row in read(RECORDS / "files.csv"):
        name, _, _ = row["file"].partition("-seed-")
        found.setdefault(name, []).append(row)
    return found


def record_seeds() -> str:
    """Each file by itself."""
    rows = [
        [
            row["file"].removesuffix(".onc"),
            *(f"{int(row[name]):,}" for name in ("container_bytes", "gzip_bytes")),
            *(f"{100 - float(row[f'{part}_accuracy_pct']):.2f}" for part in ("val", "test")),
        ]
        for row in read(RECORDS / "files.csv")
    ]
    return drawn(rows, ["file", "bytes", "after gzip", "error on validation %", "test %"], left=1)


def cnn_records() -> str:
    """The paper's rows and its re-run's, and ours that is no larger, in the mean of its seeds."""
    ours = {name: rows for name, rows in _seeds().items() if name.startswith("cnn")}
    rows = []
    for point, theirs in rerun_rows("cnn_mnist").items():
        if point == (0.0, 32):
            continue
        cells = [f"{100 * point[0]:.4g} %", point[1]]
        for published in (paper_rows("cnn_mnist")[point], theirs):
            cells += [f"{published.size_bytes:,}", f"{published.accuracy_pct:.2f}"]
        for size in ("container_bytes", "gzip_bytes"):
            cells += _no_larger(ours, size, theirs.size_bytes, theirs.accuracy_pct)
        rows.append(cells)
    ends = ("bytes", "accuracy %")
    headers = [
        "sparsity",
        "bits",
        *(f"{who}: {end}" for who in ("paper", "re-run") for end in ends),
    ]
    for how in ("coded", "after gzip"):
        headers += [f"ours, {how}: bytes", f"accuracy % ({how})", f"dominates ({how})"]
    return drawn(rows, headers)


def _no_larger(ours: Mapping[str, Rows], size: str, most: int, accuracy_pct: float) -> list[str]:
    """Return the most accurate on validation of those whose files are no larger in the mean."""
    fits = {
        name: rows for name, rows in ours.items() if mean(float(row[size]) for row in rows) <= most
    }
    if not fits:
        return ["", "", "no"]
    best = max(
        fits.values(), key=lambda rows: mean(float(row["val_accuracy_pct"]) for row in rows)
    )
    accuracies = [float(row["test_accuracy_pct"]) for row in best]
    reached = "yes" if mean(accuracies) >= accuracy_pct else "no"
    return [spread([float(row[size]) for row in best], ",.0f"), spread(accuracies, ".2f"), reached]


RECORD_MAKERS = {maker.__name__: maker for maker in (records, record_seeds, cnn_records)}
"""What may stand between the marks, by name."""
