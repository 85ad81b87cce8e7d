"""The tables of the records: committed files, and those beside the rows of the paper's CNN."""

from collections.abc import Mapping
from statistics import mean

from benchmarks.figures.rows import read
from benchmarks.figures.tables import STUDIES, drawn
from search.results.paper import paper_rows, rerun_rows
from search.results.spread import spread

RECORDS = STUDIES / "2026-11-27-records"


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


RECORD_MAKERS = {maker.__name__: maker for maker in (record_seeds, cnn_records)}
"""What may stand between the marks, by name."""
