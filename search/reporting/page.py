"""The report as one HTML page: no other file, no network, readable on a phone and in the dark.

A click on a point, or on a button of the front, shows what that trial is, its file and the command
that makes it again. The page's parts lie in `search/reporting/page_parts/`.
"""

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any

from optuna import Study

from search.reporting.drawing import Drawing
from search.results.columns import other_estimate
from search.results.counting import words
from search.results.front import chosen_trial, front_rows
from search.results.notes import notes, settings
from search.results.recommendation import recommendation
from search.results.remake import remake_command
from search.results.row import Row
from search.results.table import StudyTable

FRONT = "The Pareto front on validation, with scores on test, and how to make each again"


def page(
    study: Study,
    table: StudyTable,
    drawings: Sequence[Drawing],
    tables: Mapping[str, str],
    further_notes: Sequence[str] = (),
) -> str:
    """Return the page of `study`.

    Args:
        study: The study.
        table: Of the study.
        drawings: Its figures; the first is that of the score against size.
        tables: Further tables as HTML, by their titles.
        further_notes: Sentences behind those that the table tells.
    """
    first, *rest = drawings
    parts = files("search.reporting") / "page_parts"
    facts = {row.trial.number: _facts(table, row) for row in table.rows}
    chosen = chosen_trial(study)
    recommended = None if chosen is None else chosen.number
    offered = {row.trial.number: row for row in front_rows(table)}
    offered |= {row.trial.number: row for row in table.rows if row.trial.number == recommended}
    return Template((parts / "report.html").read_text()).substitute(
        title=f"Study {html.escape(table.name)}",
        css=(parts / "report.css").read_text(),
        script=(parts / "report.js").read_text(),
        recommended=html.escape(recommendation(study, table)),
        front_title=f"{table.metric[0].upper()}{html.escape(table.metric[1:])} against size",
        chosen="" if recommended is None else recommended,
        front="\n".join(_button(row, recommended) for row in offered.values()),
        front_figure=_figure(first, with_plotly=True),
        table=table.text("html"),
        notes="\n".join(f"<p>{html.escape(note)}</p>" for note in [*notes(table), *further_notes]),
        tables="\n".join(_section(title, text) for title, text in tables.items()),
        figures="\n".join(_figure(drawing) for drawing in rest),
        settings=html.escape(settings(table)),
        trials=json.dumps(facts).replace("</", "<\\/"),
    )


def front_commands(table: StudyTable) -> Iterator[tuple[str, str]]:
    """Yield for each member of the front what it is, and the command that makes it again."""
    for row in front_rows(table):
        command = _command(table, row)
        if command is not None:
            yield f"trial {row.trial.number}, {_told(row)}", command


def _told(row: Row) -> str:
    return f"{row.label}: {row.size:,} bytes, {row.scored.told('test')}"


def _command(table: StudyTable, row: Row) -> str | None:
    return remake_command(table.config, row.plan, f"{table.name}-trial-{row.trial.number}")


def _energy(row: Row) -> dict[str, str]:
    """Return the estimate in words, nothing where a study has none."""
    energy = row.attribute("energy_uj")
    if energy is None:
        return {}
    version = other_estimate(row, " of version ")
    return {"Energy": f"{energy:.3g} uJ for one input, an estimate{version}"}


def _facts(table: StudyTable, row: Row) -> dict[str, Any]:
    """Return what a click shows of a trial."""
    value = row.attribute
    return {
        "label": row.label,
        "numbers": {
            f"Test {row.scored.name}": _score(row, "test"),
            "Validation": _score(row, "val"),
            "Size": f"{row.size:,} bytes ({words(row.counted)}), "
            f"{value('reduction_factor'):.2f} times less",
            "Latency": f"{value('latency_ms'):.3f} ms on one thread",
            **_energy(row),
            "Q, U": f"{value('test_quality'):.4f}, {value('test_saving'):.4f} (test)",
        },
        "file": value("artifact"),
        "command": _command(table, row),
    }


def _score(row: Row, part: str) -> str:
    return f"{row.scored.told(part)} ({row.scored.told_delta(part)})"


def _button(row: Row, chosen: int | None) -> str:
    mark = " (recommended)" if row.trial.number == chosen else ""
    return (
        f'<li><button type="button" data-trial="{row.trial.number}" aria-pressed="false">'
        f"{html.escape(_told(row))}{mark}</button></li>"
    )


def _figure(drawing: Drawing, *, with_plotly: bool = False) -> str:
    drawn = drawing.figure.to_html(
        full_html=False,
        include_plotlyjs=with_plotly,
        config={"responsive": True, "displaylogo": False},
        div_id=drawing.name,
    )
    told = html.escape(drawing.told)
    return (
        f'<figure><div role="img" aria-label="{told}">{drawn}</div>'
        f"<figcaption>{told}</figcaption></figure>"
    )


def _section(title: str, text: str) -> str:
    name = html.escape(title)
    return (
        f'<section aria-label="{name}">\n<h2>{name}</h2>\n'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{name}">{text}</div>\n'
        "</section>"
    )
