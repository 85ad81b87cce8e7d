"""The report as one HTML page: no other file, no network, readable on a phone and in the dark.

First the answer: which file to take, what it costs, how sure that is, and how to get it. A slider
moves what may be lost, and answer, front and commands follow; a click on a point or a row shows
that trial instead. The page's parts lie in `search/reporting/page_parts/`.
"""

import html
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from string import Template
from typing import Any

import plotly.graph_objects as go
from optuna import Study

from search.reporting.drawing import Drawing
from search.reporting.facts import sliders, trial_facts
from search.reporting.trial_table import definitions, glossary, trial_table
from search.results.front import chosen_trial, front_rows
from search.results.notes import notes, settings
from search.results.recommendation import no_recommendation, why
from search.results.remake import remake_command
from search.results.row import Row
from search.results.table import StudyTable

FRONT = "The Pareto front on validation, with scores on test, and how to make each again"
SCRIPTS = ("choice.js", "table.js", "plots.js", "live.js")
"""In the order in which they run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a page shows beside its answer and the table of trials."""

    front: Drawing
    """The score against size."""
    layers: str = ""
    """What each layer became, as HTML; "" where that is not known."""
    paper: Mapping[str, str] = field(default_factory=dict)
    """Comparisons with what was published, as HTML, by their titles."""
    search: Mapping[str, str] = field(default_factory=dict)
    """Tables of how the search went, as HTML, by their titles."""
    drawings: Sequence[Drawing] = ()
    """Figures of how the search went."""
    layer_drawing: Drawing | None = None
    notes: Sequence[str] = ()
    """Sentences behind those that the table tells."""
    status: str = ""
    """How far the study is, while it runs."""


def page(study: Study, table: StudyTable, parts: Parts, location: Sequence[str]) -> str:
    """Return the page of `study`.

    Args:
        study: The study.
        table: Of the study.
        parts: What else is shown.
        location: The options that name the study to another command.
    """
    folder = files("search.reporting") / "page_parts"
    chosen = chosen_trial(study)
    recommended = None if chosen is None else chosen.number
    offered = {row.trial.number: row for row in front_rows(table)}
    offered |= {row.trial.number: row for row in table.rows if row.trial.number == recommended}
    drawings = [parts.front, *([parts.layer_drawing] if parts.layer_drawing else [])]
    told = {
        "trials": trial_facts(table, location),
        "recommended": recommended,
        "why": "",
        "sliders": sliders(table),
        "marks": {each.name: each.marks for each in [*drawings, *parts.drawings] if each.marks},
        "written": time.time(),
        "running": bool(parts.status),
    }
    if chosen is None:
        told["why"] = no_recommendation(table)
    else:
        row = next(row for row in table.rows if row.trial.number == recommended)
        told["why"] = why(table, row)
    return Template((folder / "report.html").read_text()).substitute(
        title=f"Study {html.escape(table.name)}",
        css=(folder / "report.css").read_text(),
        script="\n".join((folder / name).read_text() for name in SCRIPTS),
        status=html.escape(parts.status),
        front_title=f"{table.metric[0].upper()}{html.escape(table.metric[1:])} against size",
        front="\n".join(_button(row) for row in offered.values()),
        front_figure=_figure(parts.front, with_plotly=True),
        layers=_folded("What each layer became", parts.layers, parts.layer_drawing, is_open=True),
        trials=trial_table(table),
        glossary=glossary(table),
        notes="\n".join(f"<p>{html.escape(note)}</p>" for note in [*notes(table), *parts.notes]),
        paper="\n".join(_folded(title, text) for title, text in parts.paper.items()),
        search="\n".join(_folded(title, text) for title, text in parts.search.items()),
        figures="\n".join(_folded(_title(each), "", each) for each in parts.drawings),
        settings=definitions(settings(table)),
        told=_as_json(told),
    )


def _as_json(told: dict[str, Any]) -> str:
    """Return what a script element may hold: no end of one, and null for what is no number."""
    plain = json.loads(json.dumps(told), parse_constant=lambda _: None)
    return json.dumps(plain).replace("</", "<\\/")


def front_commands(table: StudyTable) -> Iterator[tuple[str, str]]:
    """Yield for each member of the front what it is, and the command that makes it again."""
    for row in front_rows(table):
        study = f"{table.name}-trial-{row.trial.number}"
        command = remake_command(table.config, row.plan, study)
        if command is not None:
            yield f"trial {row.trial.number}, {_told(row)}", command


def _told(row: Row) -> str:
    return f"{row.label}: {row.size:,} bytes, {row.scored.told('test')} on test"


def _button(row: Row) -> str:
    return (
        f'<li><button type="button" data-trial="{row.trial.number}" aria-pressed="false">'
        f"trial {row.trial.number}, {html.escape(_told(row))}</button></li>"
    )


def _title(drawing: Drawing) -> str:
    return str(drawing.figure.layout.title.text)


def _figure(drawing: Drawing, *, with_plotly: bool = False) -> str:
    untitled = go.Figure(drawing.figure)  # the page has its title above
    untitled.update_layout(title=None, margin={"t": 45, "r": 20})
    drawn = untitled.to_html(
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


def _folded(
    title: str, text: str, drawing: Drawing | None = None, *, is_open: bool = False
) -> str:
    """Return a part that opens by a click; "" where there is nothing in it."""
    if not text and drawing is None:
        return ""
    name = html.escape(title)
    table = (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{name}">{text}</div>\n'
        if text
        else ""
    )
    figure = "" if drawing is None else _figure(drawing)
    return (
        f"<details{' open' if is_open else ''}>\n<summary><h2>{name}</h2></summary>\n"
        f"{table}{figure}</details>"
    )
