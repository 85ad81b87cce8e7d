"""Which bytes a comparison counts: those after gzip, or those of containers; never both.

A study counts one of them for all of its trials: the container where its methods have a coder. Two
studies may differ in that. What compares them counts what the first one counts, if each trial has
that size, and else gzip's, which each has; U and the reduction factor are then computed anew.
"""

from collections.abc import Sequence

from objectives.quality import retained_saving
from search.results.row import GZIP, RAW, Row
from search.results.table import StudyTable


def counted_alike(tables: Sequence[StudyTable]) -> str:
    """Return what all trials of `tables` can be compared by: as `Row.counted`."""
    wanted = tables[0].counted
    rows = [row for table in tables for row in table.rows]
    if wanted == RAW and any(row.attribute("baseline_raw_bytes") is None for row in rows):
        return GZIP
    return wanted if all(row.bytes_by(wanted) is not None for row in rows) else GZIP


def words(counted: str) -> str:
    """Return in a few words what is counted."""
    return counted if counted in {GZIP, RAW} else f"container, {counted}"


def reduction_factor(row: Row, counted: str) -> float:
    """Return the baseline's bytes, after gzip or as they are, by the row's bytes."""
    return row.baseline_size_by(counted) / row.size_by(counted)


def saving(row: Row, counted: str) -> float:
    """Return the retained saving U on validation."""
    return retained_saving(row.attribute("val_delta_pct"), reduction_factor(row, counted))
