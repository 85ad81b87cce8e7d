"""A figure with its name, what it says in words, and where each trial is in it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil, floor, log10
from typing import Any

import plotly.graph_objects as go

BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#777777"
"""Okabe and Ito's colours, told apart by everybody."""
COLORS = (BLUE, ORANGE, GREEN, "#cc79a7", "#e69f00", "#56b4e9", GREY)
CHOSEN = "chosen trial"
"""Name of the mark that the page's script moves."""
LEGEND = {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"}
"""Below the figure: beside it there is no room on a phone."""
MOST_TICKS = 5
"""Of an axis of bytes, so that they do not overlap on a phone."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """One figure of a report."""

    name: str
    """Of its element in the page and of its plot in optuna-dashboard."""
    figure: go.Figure
    told: str
    """What it shows and says, in a sentence or two, for who does not see it."""
    marks: Mapping[int, tuple[Any, Any]] = field(default_factory=dict)
    """Where each trial is in it, by number: a point, or the lists of x and y of a line."""

    def mark_(self, trial: int | None) -> None:
        """Mark the trial of this number; of None there is a mark that is nowhere yet."""
        if not self.marks:
            return
        x, y = ([], []) if trial is None else self.marks[trial]
        is_line = all(isinstance(each[0], list) for each in self.marks.values())
        ring = {"symbol": "circle-open", "size": 18, "color": ORANGE, "line": {"width": 3}}
        self.figure.add_scatter(
            x=x if isinstance(x, list) else [x],
            y=y if isinstance(y, list) else [y],
            mode="lines" if is_line else "markers",
            marker=ring,
            line={"color": ORANGE, "width": 4},
            name=CHOSEN,
            hoverinfo="skip",
        )


def byte_ticks(sizes: Iterable[float]) -> dict[str, list[Any]]:
    """Return plotly's ticks of a logarithmic axis over these positive numbers of bytes.

    They are 1, 2 and 5 times powers of ten, as far as there are few of these, else powers of ten.
    """
    values = list(sizes)
    low, high = min(values), max(values)
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    ticks: list[float] = []
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [step * 10**power for power in powers for step in steps]
        ticks = [tick for tick in ticks if low / 2 < tick < high * 2]
        if len(ticks) <= MOST_TICKS:
            break
    return {"tickvals": ticks, "ticktext": [told_bytes(tick) for tick in ticks]}


def told_bytes(size: float) -> str:
    """Return a round number of bytes in the unit that suits it."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:g} {unit}"
    return f"{size:g} B"
