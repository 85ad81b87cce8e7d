"""The Pareto front of a study: accuracy against bytes, and what of the paper it leaves behind."""

from collections.abc import Callable, Iterable
from math import log2
from typing import TypeVar

from optuna import Study
from optuna.trial import FrozenTrial
from tabulate import tabulate

from search.results.counting import reduction_factor, words
from search.results.paper import Point, PublishedRow
from search.results.row import Row
from search.results.table import StudyTable
from search.settings.vocabulary import EXTRA_OBJECTIVES
from search.storage.trials import made_trials

T = TypeVar("T")

TOLERATED_DROP = 0.5
"""What may be lost unless a study says otherwise: points of a share, as of accuracy, else percent
of the baseline's value."""


def front_rows(table: StudyTable) -> list[Row]:
    """Return the rows that no other beats, by rising bytes; none that breaks a limit.

    Beaten is who is nowhere better: in bytes, in the validation score, and in what else the study
    minimizes. The test part chooses nothing.
    """
    others = [name for name in table.config.values if name in EXTRA_OBJECTIVES.values()]

    def costs(row: Row) -> tuple[float, ...]:
        further = (float(row.attribute(name)) for name in others)
        return (row.size, -_validation(row), *further)

    front: list[Row] = []
    kept = [row for row in table.rows if keeps_limits(row.trial)]
    for row in sorted(kept, key=costs):  # who beats it comes before
        if not any(
            all(a <= b for a, b in zip(costs(better), costs(row), strict=True)) for better in front
        ):
            front.append(row)
    return front


def keeps_limits(trial: FrozenTrial) -> bool:
    """Return whether the trial breaks none of the constraints that its study has."""
    return all(excess <= 0 for excess in trial.constraints.values())


def chosen_trial(study: Study) -> FrozenTrial | None:
    """Return the trial that a user who asks for one should take, None if none keeps its limits.

    It is the smallest of those that lose at most what may be lost, the study's `max_drop` or else
    `TOLERATED_DROP`; of equals the one that loses least. Where `TOLERATED_DROP` leaves none, it is
    the one with the largest retained saving. All on validation; where constraints were set, of
    those that keep them.
    """
    kept = [trial for trial in made_trials(study) if keeps_limits(trial)]
    if not kept:
        return None
    near = [trial for trial in kept if "max_drop" in trial.constraints or loses_little(trial)]
    if not near:
        return max(kept, key=lambda trial: (float(trial.user_attrs["saving"]), -_bytes(trial)))
    return min(near, key=lambda trial: (_bytes(trial), -float(trial.user_attrs["val_delta_pct"])))


def loses_little(trial: FrozenTrial) -> bool:
    """Return whether the trial loses at most `TOLERATED_DROP` of the validation score."""
    return float(trial.user_attrs["val_delta_pct"]) >= -TOLERATED_DROP


def _bytes(trial: FrozenTrial) -> int:
    return int(trial.user_attrs.get("shipped_bytes") or trial.user_attrs["artifact_bytes"])


def hypervolume(points: Iterable[tuple[float, float]], reference: tuple[float, float]) -> float:
    """Return the area that `points` dominate above `reference`; both coordinates are maximized.

    Source: Zitzler & Thiele 1998, "the size of the space covered".
    """
    area, highest = 0.0, reference[1]
    for x, y in sorted(points, reverse=True):
        if x > reference[0] and y > highest:
            area += (x - reference[0]) * (y - highest)
            highest = y
    return area


def front_point(row: Row, counted: str) -> tuple[float, float]:
    """Return what the hypervolume counts: validation delta, and doublings of reduction."""
    return float(row.attribute("val_delta_pct")), log2(reduction_factor(row, counted))


REFERENCE = (-1.0, 0.0)
"""Hypervolume is counted from here: a point of accuracy lost and nothing saved.

Who loses more does not count: from 10 points lost, files that nobody wants decided it.
"""


def compressed_points(table: StudyTable, source: str) -> list[Point]:
    """Return the rows of "paper" or "re-run" but its baseline's, the uncompressed one."""
    return [point for point in table.published[source] if point != (0.0, 32)]


def best_no_larger(
    files: Iterable[T], most_bytes: int, facts: Callable[[T], tuple[int, float]]
) -> T | None:
    """Return the most accurate of `files` that have at most so many bytes, of equals the smallest.

    Args:
        files: Of whatever kind.
        most_bytes: None is returned where all are larger.
        facts: Takes one, gives its bytes and its accuracy on validation.
    """

    def rank(file: T) -> tuple[float, int]:
        size, accuracy = facts(file)
        return accuracy, -size

    return max((file for file in files if facts(file)[0] <= most_bytes), key=rank, default=None)


def rivals(table: StudyTable, source: str) -> dict[Point, Row | None]:
    """Return for each compressed row of "paper" or "re-run" ours that is compared with it."""
    return {
        point: best_no_larger(
            table.rows,
            table.published[source][point].size_bytes,
            lambda row: (row.size, _validation(row)),
        )
        for point in compressed_points(table, source)
    }


def dominated(table: StudyTable, source: str) -> list[Point]:
    """Return the rows of "paper" or "re-run" whose rival is no less accurate, on test."""
    return [
        point
        for point, ours in rivals(table, source).items()
        if _reaches(ours, table.published[source][point])
    ]


def _reaches(ours: Row | None, theirs: PublishedRow) -> bool:
    return ours is not None and _test(ours) >= theirs.accuracy_pct


def dominance_table(table: StudyTable, source: str, form: str) -> str:
    """Return `rivals` as a table in one of tabulate's formats; "" where nothing was published."""
    rows = []
    for (sparsity, bits), ours in rivals(table, source).items():
        theirs = table.published[source][sparsity, bits]
        cells: list[object] = [f"{100 * sparsity:.4g} %", bits, f"{theirs.size_bytes:,}"]
        cells.append(f"{theirs.accuracy_pct:.2f}")
        if ours is None:
            cells += ["-"] * 4
        else:
            cells += [ours.trial.number, ours.label, f"{ours.size:,}", f"{_test(ours):.2f}"]
        rows.append([*cells, "yes" if _reaches(ours, theirs) else "missed"])
    headers = ["sparsity", "bits", "bytes", "accuracy %", "our trial", "is"]
    headers += [f"bytes ({words(table.counted)})", "accuracy % ", "reached"]
    if not rows:
        return ""
    text: str = tabulate(
        rows, headers, form, disable_numparse=True, colalign=["right"] * len(headers)
    )
    return text


def _validation(row: Row) -> float:
    return row.scored.worth("val")


def _test(row: Row) -> float:
    return row.scored.worth("test")
