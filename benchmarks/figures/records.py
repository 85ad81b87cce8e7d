"""The tables of the records: the smallest files at an error that others have published."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean

from benchmarks.figures.rows import read
from benchmarks.figures.tables import STUDIES, drawn
from search.results.paper import paper_rows, rerun_rows
from search.results.spread import spread

RECORDS = STUDIES / "2026-11-27-records"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What was asked of a network."""

    network: str
    raw_bytes: int
    """Of its float32 file, as trained."""
    most_bytes: int
    most_error_pct: float
    others: str
    """Who holds the record, and what it is."""


GOALS: dict[str, Goal] = {
    "lenet5-3000": Goal(
        network="LeNet-5",
        raw_bytes=1_725_636,
        most_bytes=3000,
        most_error_pct=0.75,
        others="MIRACLE: 3,110 at 0.69",
    ),
    "lenet5-1500": Goal(
        network="LeNet-5",
        raw_bytes=1_725_636,
        most_bytes=1500,
        most_error_pct=1.0,
        others="MIRACLE: 1,560 at 0.96",
    ),
    "lenet300-150x": Goal(
        network="LeNet-300-100",
        raw_bytes=1_067_083,
        most_bytes=1_067_083 // 150,
        most_error_pct=1.6,
        others="58 to 124 times less at 1.8 to 2.0",
    ),
    "lenet300-250x": Goal(
        network="LeNet-300-100",
        raw_bytes=1_067_083,
        most_bytes=1_067_083 // 250,
        most_error_pct=1.9,
        others="58 to 124 times less at 1.8 to 2.0",
    ),
    "resnet8-25000": Goal(
        network="ResNet-8, CIFAR-10",
        raw_bytes=0,
        most_bytes=25_000,
        most_error_pct=15.0,
        others="MLPerf Tiny: 98,496 at 15",
    ),
}
"""By what files are called: NAME-seed-N.onc."""


def _files(name: str) -> list[Mapping[str, str]]:
    return [row for row in read(RECORDS / "files.csv") if row["file"].startswith(f"{name}-seed-")]


def records() -> str:
    """Bytes and errors of each goal's files, beside what was asked and what others have."""
    rows = []
    for name, goal in GOALS.items():
        files = _files(name)
        if not files:
            continue
        sizes = [float(row["container_bytes"]) for row in files]
        errors = [100 - float(row["test_accuracy_pct"]) for row in files]
        reached = mean(sizes) <= goal.most_bytes and mean(errors) <= goal.most_error_pct
        factor = f"{goal.raw_bytes / mean(sizes):,.0f}" if goal.raw_bytes else ""
        rows.append(
            [
                goal.network,
                len(files),
                spread(sizes, ",.0f"),
                factor,
                spread(errors, ".2f"),
                f"{goal.most_bytes:,} at {goal.most_error_pct:g}",
                "yes" if reached else "no",
                goal.others,
            ]
        )
    headers = ["network", "seeds", "bytes", "times less than float32", "error on test %"]
    return drawn(rows, [*headers, "goal", "reached", "others"], left=1)


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
    """The paper's rows and its re-run's, and ours that is no larger, three seeds each."""
    search = read(RECORDS / "files.csv")
    ours: dict[str, list[Mapping[str, str]]] = {}
    for row in search:
        name, found, _ = row["file"].partition("-seed-")
        if found and name.startswith("cnn"):
            ours.setdefault(name, []).append(row)
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


def _no_larger(
    ours: Mapping[str, list[Mapping[str, str]]], size: str, most: int, accuracy_pct: float
) -> list[str]:
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
