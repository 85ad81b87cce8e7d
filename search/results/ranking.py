"""Methods ranked by what they retain, alone and in combination, and what each stage saves."""

from collections import defaultdict
from collections.abc import Sequence

from tabulate import tabulate

from search.results.columns import DELTA, SCORE, TIMES
from search.results.counting import counted_alike, reduction_factor, saving, words
from search.results.row import Row
from search.results.table import StudyTable

SHARES = "stage_bytes"
"""Study attribute: trial, and the bytes after each stage of its plan, in order."""


def methods_of(row: Row, coders: Sequence[str]) -> tuple[str, ...]:
    """Return the methods that made the row's file: its stages but training, and its coders."""
    stages = [stage.stage for stage in row.plan.stages() if stage.stage != "train"]
    distilled = ("distill",) if row.plan.recipe.distill_weight > 0 and stages else ()
    return (*dict.fromkeys(stages), *distilled, *coders)


def ranking(tables: Sequence[StudyTable], form: str) -> str:
    """Return the best row of each set of methods, by U on validation; "" if there is one set.

    All are counted alike, and the heading says how: see `search.results.counting`.
    """
    counted = counted_alike(tables)
    best: dict[tuple[str, ...], Row] = {}
    trials: dict[tuple[str, ...], int] = defaultdict(int)
    for table in tables:
        for row in table.rows:
            methods = methods_of(row, table.config.coders)
            trials[methods] += 1
            if methods not in best or saving(row, counted) > saving(best[methods], counted):
                best[methods] = row
    if len(best) < 2:
        return ""
    rows = [
        [
            " + ".join(methods) or "none",
            trials[methods],
            f"{saving(row, counted):.4f}",
            row.label,
            f"{row.size_by(counted):,}",
            f"{reduction_factor(row, counted):.2f}",
            row.scored.told("test").removesuffix(" %"),
            f"{row.attribute('test_delta_pct'):+.2f}",
            f"{row.attribute('latency_ms'):.3f}",
            f"{sum(row.attribute('stage_seconds').values()):.0f}",
        ]
        for methods, row in sorted(best.items(), key=lambda item: -saving(item[1], counted))
    ]
    headers = ["methods", "trials", "best U", "is", f"bytes ({words(counted)})", TIMES]
    any_table = tables[0]
    headers += [any_table.named(SCORE), any_table.named(DELTA), "latency ms", "seconds"]
    return tabulate(rows, headers, form, disable_numparse=True)


def shares(table: StudyTable, form: str) -> str:
    """Return what each stage of the chosen trial saved; "" where that was not measured."""
    made = table.attributes.get(SHARES)
    if made is None:
        return ""
    sizes: dict[str, int] = made["bytes"]
    before = list(sizes.values())
    rows = [
        [
            stage,
            f"{size:,}",
            f"{previous / size:.2f}",
            f"{before[0] / size:.1f}",
        ]
        for (stage, size), previous in zip(sizes.items(), [before[0], *before], strict=False)
    ]
    headers = [f"after, in trial {made['trial']}", "bytes", "x the one before", "x all"]
    return tabulate(rows, headers, form, disable_numparse=True)
