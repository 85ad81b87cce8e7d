"""All trials as a table of the page: sorted and filtered by a click, columns shown or hidden."""

import html
import re
from collections.abc import Callable, Mapping, Sequence

from search.results.columns import DELTA, PAPER, RERUN, SCORE, TIMES, WEIGHTS, Cell
from search.results.row import Row
from search.results.table import StudyTable
from search.results.terms import TERMS

SHOWN = ("trial", "what was done", "bytes", TIMES, SCORE, DELTA, "latency ms", "RAM kB")
"""Columns that a reader sees first; the others are a click away."""
DONE = "what was done"
"""In words; the page has it in the place of the settings of each stage."""
LEFT_OUT = (*PAPER, *RERUN, WEIGHTS)
"""Columns that the page has a table of their own for, or other words."""


def trial_table(table: StudyTable) -> str:
    """Return the table, and above it what filters it and chooses its columns."""
    columns: dict[str, Cell] = {"trial": lambda row: row.trial.number, DONE: lambda row: row.done}
    columns |= {name: cell for name, cell in table.columns().items() if name not in LEFT_OUT}
    columns |= {
        "sparsity": _alike(table.rows, lambda row: 100 * row.sparsity, " %"),
        "bits": _alike(table.rows, lambda row: row.bits, ""),
    }
    heads = "".join(_head(table, number, name) for number, name in enumerate(columns))
    rows = "\n".join(_row(row, columns) for row in table.rows)
    boxes = "".join(_box(table, number, name) for number, name in enumerate(columns))
    return (
        '<p class="tools"><label>Show only rows with '
        '<input type="search" id="filter" placeholder="pruned 8 bits"></label> '
        '<span id="count" aria-live="polite"></span></p>\n'
        f'<details class="columns"><summary>Columns</summary><p>{boxes}</p></details>\n'
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of all trials">\n'
        f'<table id="all-trials"><thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table>\n</div>"
    )


def _alike(rows: Sequence[Row], value: Callable[[Row], float], unit: str) -> Cell:
    """Return cells of equal decimals: none if all are whole numbers."""
    decimals = 0 if all(float(f"{value(row):.2f}").is_integer() for row in rows) else 2
    return lambda row: f"{value(row):.{decimals}f}{unit}"


def _head(table: StudyTable, number: int, name: str) -> str:
    return (
        f'<th scope="col" data-column="{number}"{_hidden(name)} '
        f'title="{html.escape(TERMS[name])}">'
        f'<button type="button">{html.escape(table.named(name))}</button></th>'
    )


def _row(row: Row, columns: Mapping[str, Cell]) -> str:
    cells = "".join(
        f'<td data-column="{number}"{_hidden(name)}>{html.escape(str(cell(row)))}</td>'
        for number, (name, cell) in enumerate(columns.items())
    )
    return f'<tr data-trial="{row.trial.number}">{cells}</tr>'


def _box(table: StudyTable, number: int, name: str) -> str:
    checked = "" if _hidden(name) else " checked"
    return (
        f'<label><input type="checkbox" data-column="{number}"{checked}> '
        f"{html.escape(table.named(name))}</label>"
    )


def glossary(table: StudyTable) -> str:
    """Return what each word over a column of the report means, as a list."""
    names = ["trial", DONE, *(name for name in table.columns() if name in TERMS)]
    if any(table.published.values()):
        names += ["paper", "re-run"]
    return definitions({table.named(name): TERMS[name] for name in dict.fromkeys(names)})


def definitions(terms: Mapping[str, object]) -> str:
    """Return a list of terms as HTML; what stands between backticks is code."""
    lines = [
        f"<dt>{html.escape(term)}</dt><dd>"
        + re.sub("`(.+?)`", r"<code>\1</code>", html.escape(str(told)))
        + "</dd>"
        for term, told in terms.items()
    ]
    return "\n".join(["<dl>", *lines, "</dl>"])


def _hidden(name: str) -> str:
    return "" if name in SHOWN else " hidden"
