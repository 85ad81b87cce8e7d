"""Rows of committed CSV files: whether each agrees with itself."""

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from objectives.quality import paper_quality, retained_saving

TOLERANCE = 1e-6


def read(file: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with file.open() as lines:
        return list(csv.DictReader(lines))


def check_rows(file: Path) -> list[str]:
    """Return what does not follow in the rows of a report.csv that was committed as `file`."""
    rows = read(file)
    if not rows or "reduction_factor" not in rows[0]:
        return []
    return [
        f"{file}: row {number} has {name} {row[name]}, which should be {value:.10g}."
        for number, row in enumerate(rows, start=1)
        for name, value in derived(row)
        if not math.isclose(float(row[name]), value, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    ]


def derived(row: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """Yield what bytes and accuracies of a row decide: reduction factor, Q, U."""
    shipped = float(row.get("shipped_bytes") or row["artifact_bytes"])
    counts_raw = row.get("runtime") == "tflite-micro"  # see `Runtime.counts_raw`
    factor = float(row["baseline_raw_bytes" if counts_raw else "baseline_bytes"]) / shipped
    yield "reduction_factor", factor
    sparsity, bits = float(row["sparsity"]), float(row.get("mean_bits") or row["precision"])
    for part, prefix in (("val", ""), ("test", "test_")):
        delta = float(row[f"{part}_delta_pct"])
        yield f"{prefix}quality", paper_quality(sparsity, bits, delta, factor)
        yield f"{prefix}saving", retained_saving(delta, factor)
