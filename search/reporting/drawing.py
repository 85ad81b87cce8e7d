"""A figure with its name and what it says in words."""

from dataclasses import dataclass

import plotly.graph_objects as go


@dataclass(frozen=True, slots=True)
class Drawing:
    """One figure of a report."""

    name: str
    """Of its element in the page and of its plot in optuna-dashboard."""
    figure: go.Figure
    told: str
    """What it shows and says, in a sentence or two, for who does not see it."""
