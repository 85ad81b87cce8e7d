"""The Pareto front of a study: accuracy against bytes, and what of the paper it leaves behind."""

from collections.abc import Iterable
from math import log2

from optuna import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from tabulate import tabulate

from search.paper import Point
from search.table import Row, StudyTable
from search.trials import made_trials
from search.vocabulary import EXTRA_OBJECTIVES


def front_rows(table: StudyTable) -> list[Row]:
    """Return the rows that no other beats, by rising bytes; none that breaks a limit.

    Beaten is who is nowhere better: in bytes, in test accuracy, and in what else the study
    minimizes.
    """
    others = [name for name in table.config.values if name in EXTRA_OBJECTIVES.values()]

    def costs(row: Row) -> tuple[float, ...]:
        further = (float(row.attribute(name)) for name in others)
        return (shipped_bytes(row), -_accuracy(row), *further)

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

    Of one objective it is the best, of a Pareto front the one with the largest retained saving or,
    where it was said how much accuracy may be lost, the smallest; of equals the smallest; all on
    validation; where constraints were set, of those that keep them.
    """
    kept = [trial for trial in made_trials(study) if keeps_limits(trial)]
    if not kept:
        return None
    if len(study.directions) > 1:
        if "max_drop" in kept[0].constraints:
            return min(kept, key=_bytes)
        return max(kept, key=lambda trial: (float(trial.user_attrs["saving"]), -_bytes(trial)))
    sign = 1 if study.direction == StudyDirection.MAXIMIZE else -1
    return max(kept, key=lambda trial: (sign * (trial.value or 0.0), -_bytes(trial)))


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


def front_point(row: Row) -> tuple[float, float]:
    """Return what the hypervolume counts: validation delta, points, and doublings of reduction."""
    return float(row.attribute("val_delta_pct")), log2(float(row.attribute("reduction_factor")))


def dominating(table: StudyTable) -> dict[Point, Row | None]:
    """Return for each compressed row of the paper ours that is no larger and no less accurate.

    Of several it is the most accurate one, the smallest among equals; None where there is none.
    The baseline, the paper's uncompressed row, is left out.
    """
    found: dict[Point, Row | None] = {}
    for point, theirs in table.published["paper"].items():
        if point == (0.0, 32):
            continue
        better = [
            row
            for row in table.rows
            if shipped_bytes(row) <= theirs.size_bytes and _accuracy(row) >= theirs.accuracy_pct
        ]
        best = max(better, key=lambda row: (_accuracy(row), -shipped_bytes(row)), default=None)
        found[point] = best
    return found


def shipped_bytes(row: Row) -> int:
    """Return the size that counts: of the container in a study of coders, else after gzip."""
    return int(row.attribute("shipped_bytes") or row.attribute("artifact_bytes"))


def _accuracy(row: Row) -> float:
    return float(row.attribute("test_accuracy_pct"))


REFERENCE = (-10.0, 0.0)
"""Hypervolume is counted from here: 10 points of accuracy lost and nothing saved."""


def dominance_table(table: StudyTable, form: str) -> str:
    """Return `dominating` as a table in one of tabulate's formats; "" where there is no paper."""
    rows = []
    for (sparsity, bits), ours in dominating(table).items():
        theirs = table.published["paper"][sparsity, bits]
        paper = [f"{100 * sparsity:.4g} %", bits, f"{theirs.size_bytes:,}", theirs.accuracy_pct]
        found: list[object] = ["missed", "-", "-", "-"]
        if ours is not None:
            found = [
                ours.trial.number,
                ours.label,
                f"{shipped_bytes(ours):,}",
                f"{_accuracy(ours):.2f}",
            ]
        rows.append([*paper, *found])
    headers = [
        "sparsity",
        "bits",
        "bytes",
        "accuracy %",
        "our trial",
        "is",
        "bytes ",
        "accuracy % ",
    ]
    if not rows:
        return ""
    text: str = tabulate(
        rows, headers, form, disable_numparse=True, colalign=["right"] * len(headers)
    )
    return text
