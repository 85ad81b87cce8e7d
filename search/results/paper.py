"""The paper's tables, and a re-run of one of them in the paper's own stack.

Source: "An Evaluation of Model Compression & Optimization Combinations", Tables I to III; the
re-run used TensorFlow 2.15, TF Model Optimization 0.8 and TFLite with the paper's protocol on
exact MNIST, 3 seeds, sizes by deflate level 6.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

Point = tuple[float, int]
"""Sparsity and bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """One row of a table that was made elsewhere."""

    size_bytes: int
    """After gzip."""
    accuracy_pct: float
    """On the test set."""
    quality: float | None = None
    """Eq. 5; None for the baseline, and where it was not computed."""
    accuracy_min_pct: float | None = None
    """Lowest over the seeds of the re-run."""
    accuracy_max_pct: float | None = None
    """Highest over the seeds of the re-run."""


UNREPRODUCIBLE: dict[str, frozenset[Point]] = {
    "cnn_mnist": frozenset({(0.0, 16), (0.0, 8), (0.5, 32), (0.5, 16), (0.5, 8), (0.75, 8)})
}
"""Rows whose sizes the paper's own stack does not give, by table.

The dense 16- and 8-bit rows have the sizes and accuracy of a model that is about 75 % sparse.
"""


def paper_rows(table: str) -> dict[Point, PublishedRow]:
    """Return the paper's rows of `table`, such as cnn_mnist, by sparsity and bits."""
    return {
        _point(row): PublishedRow(
            size_bytes=int(row["size_bytes"]),
            accuracy_pct=float(row["accuracy_pct"]),
            quality=float(row["quality"]) if row["quality"] else None,
        )
        for row in _read(table)
    }


def rerun_rows(table: str) -> dict[Point, PublishedRow]:
    """Return the re-run's rows of `table`; empty where there is no re-run."""
    return {
        _point(row): PublishedRow(
            size_bytes=int(row["deflate6_bytes_mean"]),
            accuracy_pct=float(row["accuracy_pct_mean"]),
            accuracy_min_pct=float(row["accuracy_pct_min"]),
            accuracy_max_pct=float(row["accuracy_pct_max"]),
        )
        for row in _read(f"{table}_tfmot_rerun")
    }


def _read(name: str) -> Iterator[dict[str, str]]:
    file = files("search.results").joinpath("published", f"{name}.csv")
    if file.is_file():
        yield from csv.DictReader(file.read_text().splitlines())


def _point(row: dict[str, str]) -> Point:
    return float(row["sparsity"]), int(row["precision_bits"])
