"""A study's table as a terminal has room for it: what decides first, then what else fits."""

import re
import textwrap
from collections.abc import Mapping

from tabulate import tabulate

from search.results.columns import DELTA, SCORE, TIMES, WEIGHTS, Cell
from search.results.table import StudyTable

DECIDING = ("trial", "sparsity", "bits", WEIGHTS, "bytes", TIMES, SCORE, DELTA)
"""Columns that each terminal has: which trial, what it is, what it takes, what it is worth."""
WHAT = "what it is"
"""The column that has the place of those that tell it, where the terminal is narrow."""
HEADING_WIDTHS = (12, 8)
"""Longer headings, as of a metric with a long name, are broken there; the second if need be."""
TEXT_WIDTHS = (12, 40)
"""Within which a column of words is as wide as there is room; its cells are broken."""


def fitted(table: StudyTable, width: int) -> str:
    """Return the table of a terminal with `width` columns, and whether the report has more.

    What does not fit is left out from the right. A terminal of less than 80 columns may be too
    narrow for what decides, which is shown all the same.
    """
    known = table.columns()
    if all(cell == "-" for [cell] in table.cells({WEIGHTS: known.get(WEIGHTS, lambda _: "-")})):
        known.pop(WEIGHTS, None)
    deciding = [*DECIDING, *_asked(table)]
    shown = {name: known[name] for name in deciding if name in known}
    optional = [name for name in known if name not in deciding]
    shown |= {name: known[name] for name in optional}
    text = _drawn(table, shown)
    while optional and _width(text) > width:
        del shown[optional.pop()]
        text = _drawn(table, shown)
    left_out = len(known) - len(shown)
    if _width(text) > width:
        text = _narrow(table, shown, width)
    more = f"The report has {left_out} more column{'s' if left_out > 1 else ''}."
    return f"{text}\n{more}" if left_out else text


def _asked(table: StudyTable) -> list[str]:
    """Return the columns of what the study limits or minimizes beside score and bytes."""
    config = table.config
    asked = {
        "RAM kB": config.asks_for_ram,
        "latency ms": "latency" in config.extra_objectives or config.max_latency_ms is not None,
        "est. energy uJ": "energy" in config.extra_objectives,
    }
    return [name for name, is_asked in asked.items() if is_asked]


def _narrow(table: StudyTable, shown: Mapping[str, Cell], width: int) -> str:
    """Return what decides with what a trial is in one column of words, no wider than need be."""
    merged: dict[str, Cell] = {"trial": shown["trial"], WHAT: lambda row: row.done}
    merged |= {name: cell for name, cell in shown.items() if name not in DECIDING[:4]}
    text = ""
    for heading_width in HEADING_WIDTHS:
        for text_width in range(TEXT_WIDTHS[1], TEXT_WIDTHS[0] - 1, -1):
            text = _drawn(table, merged, heading_width=heading_width, text_width=text_width)
            if _width(text) <= width:
                return text
    return text


def _width(text: str) -> int:
    return max(map(len, text.splitlines()))


def _drawn(
    table: StudyTable,
    columns: Mapping[str, Cell],
    *,
    heading_width: int | None = None,
    text_width: int = TEXT_WIDTHS[1],
) -> str:
    headings = [table.named(name) for name in columns]
    if heading_width is not None:
        headings = [_broken(heading, heading_width) for heading in headings]
    cells = [
        [
            textwrap.fill(str(cell), text_width) if name in {WEIGHTS, WHAT} else cell
            for name, cell in zip(columns, row, strict=True)
        ]
        for row in table.cells(columns)
    ]
    text: str = tabulate(
        cells,
        headings,
        "simple",
        disable_numparse=True,
        colalign=["left" if name in {WEIGHTS, WHAT} else "right" for name in columns],
    )
    return text


def _broken(heading: str, width: int) -> str:
    """Return a heading in lines of at most `width`, if its words let it: MulticlassF1Score's."""
    if len(heading) <= width:
        return heading
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", heading)
    return textwrap.fill(spaced, width, break_long_words=False)
