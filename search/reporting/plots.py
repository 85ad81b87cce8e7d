"""The report's figures: each takes a study's table and returns a plotly figure."""

from itertools import cycle

import plotly.graph_objects as go

from search.reporting.drawing import (
    BLUE,
    COLORS,
    GREEN,
    LEGEND,
    ORANGE,
    Drawing,
    byte_ticks,
)
from search.results.counting import words
from search.results.front import front_rows
from search.results.table import StudyTable

OURS = "this study"


def score_against_bytes(table: StudyTable) -> go.Figure:
    """Every artifact by size and test score, the Pareto front, and what was published.

    The front is chosen on validation, so its line may fall on test.
    """
    figure = go.Figure()
    ours = [(row.size, row.scored.value("test")) for row in table.rows]
    metric, is_share = table.metric, table.config.metric_is_share
    shown = "%{y:.2f} %" if is_share else "%{y:.4g}"
    labels = [f"trial {row.trial.number}: {row.done}" for row in table.rows]
    front = [ours[table.rows.index(row)] for row in front_rows(table)]
    figure.add_scatter(
        x=[size for size, _ in front],
        y=[score for _, score in front],
        mode="lines",
        line={"color": BLUE, "width": 1},
        name="Pareto front, by validation",
        hoverinfo="skip",
    )
    numbers = [row.trial.number for row in table.rows]
    sources = [(OURS, BLUE, "circle", ours, labels)]
    for name, color, symbol in (("paper", ORANGE, "x"), ("re-run", GREEN, "diamond-open")):
        published = table.published[name]
        points = [(made.size_bytes, made.accuracy_pct) for made in published.values()]
        texts = [f"{100 * sparsity:.4g} % sparse, {bits} bits" for sparsity, bits in published]
        sources.append((name, color, symbol, points, texts))
    for name, color, symbol, points, texts in sources:
        if points:
            figure.add_scatter(
                x=[size for size, _ in points],
                y=[score for _, score in points],
                mode="markers",
                marker={"color": color, "symbol": symbol, "size": 9},
                text=texts,
                customdata=numbers if name == OURS else None,
                name=name,
                hovertemplate="%{text}<br>%{x:,} B, " + shown,
            )
    shown_sizes = [size for _, _, _, points, _ in sources for size, _ in points]
    figure.update_layout(
        title=f"Test {metric} against size",
        xaxis={
            "title": f"size ({words(table.counted)})",
            "type": "log",
            **byte_ticks(shown_sizes),
        },
        yaxis={"title": f"test {metric}, %" if is_share else f"test {metric}"},
        template="plotly_white",
        legend=LEGEND,
    )
    return figure


def quality_heat_map(table: StudyTable) -> go.Figure:
    """Eq. 5 on test over sparsity and precision."""
    sparsities = sorted({row.sparsity for row in table.rows})
    precisions = sorted({row.bits for row in table.rows}, reverse=True)
    values = {(row.sparsity, row.bits): row.attribute("test_quality") for row in table.rows}
    figure = go.Figure(
        go.Heatmap(
            x=[f"{bits:g} bits" for bits in precisions],
            y=[f"{sparsity:.4g}" for sparsity in sparsities],
            z=[[values.get((sparsity, bits)) for bits in precisions] for sparsity in sparsities],
            texttemplate="%{z:.3f}",
            colorscale="RdBu",
            zmid=0,
            colorbar={"title": "Q"},
        )
    )
    figure.update_layout(
        title="Quality (Eq. 5, on test) over the grid",
        yaxis={"title": "sparsity", "type": "category"},
        template="plotly_white",
    )
    return figure


def stage_seconds(table: StudyTable) -> go.Figure:
    """Seconds that each trial spent in each stage; what came from the cache took none."""
    rows = sorted(table.rows, key=lambda row: row.trial.number)
    stages = list(dict.fromkeys(name for row in rows for name in row.attribute("stage_seconds")))
    figure = go.Figure()
    for stage, color in zip(stages, cycle(COLORS)):
        figure.add_bar(
            x=[row.trial.number for row in rows],
            y=[row.attribute("stage_seconds").get(stage, 0.0) for row in rows],
            name=stage,
            marker={"color": color},
            text=[row.done for row in rows],
            textposition="none",
            hovertemplate=f"trial %{{x}}: %{{text}}<br>{stage}: %{{y:.2f}} s<extra></extra>",
        )
    figure.update_layout(
        title="Seconds of each trial, by stage",
        barmode="stack",
        xaxis={"title": "trial", "type": "category"},
        yaxis={"title": "seconds"},
        template="plotly_white",
        legend=LEGEND,
    )
    return figure


def figures(table: StudyTable) -> list[Drawing]:
    """Return the figures that suit the study, the score first: a heat map only over a grid."""
    on_a_grid = table.config.space == "paper" and len({row.sparsity for row in table.rows}) * len(
        {row.bits for row in table.rows}
    ) <= 2 * len(table.rows)
    drawn = [
        Drawing(
            "accuracy-against-bytes",
            score_against_bytes(table),
            _finding(table),
            {row.trial.number: (row.size, row.scored.value("test")) for row in table.rows},
        )
    ]
    if on_a_grid:
        best = max(table.rows, key=lambda row: float(row.attribute("test_quality")))
        told = f"Eq. 5 over sparsity and precision; it is highest at {best.label}."
        marks = {
            row.trial.number: (f"{row.bits:g} bits", f"{row.sparsity:.4g}") for row in table.rows
        }
        drawn.append(Drawing("quality", quality_heat_map(table), told, marks))
    seconds = {
        row.trial.number: sum(row.attribute("stage_seconds").values()) for row in table.rows
    }
    slowest = max(seconds, key=seconds.__getitem__)
    told = (
        "Seconds of each trial in each stage; what came from the cache took none. Trial "
        f"{slowest} took longest, {seconds[slowest]:.0f} s."
    )
    tops = {number: (number, value) for number, value in seconds.items()}
    return [*drawn, Drawing("stage-seconds", stage_seconds(table), told, tops)]


def _finding(table: StudyTable) -> str:
    """Return what the first figure says, for who does not see it."""
    sizes = [row.size for row in table.rows]
    front = front_rows(table)
    ends = ""
    if len(front) > 1:
        small, large = front[0], front[-1]
        ends = (
            f" Its smallest file has {small.size:,} bytes and {small.scored.told('test')}, its "
            f"largest {large.size:,} bytes and {large.scored.told('test')}."
        )
    beside = " Beside it is what was published." if any(table.published.values()) else ""
    return (
        f"Test {table.metric} against size of {len(sizes)} files of {min(sizes):,} to "
        f"{max(sizes):,} bytes, {len(front)} of them on the Pareto front.{ends}{beside}"
    )
