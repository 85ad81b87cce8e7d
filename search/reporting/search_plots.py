"""Figures of a search: how it went on, what mattered, and how it compares with other searches."""

import warnings
from collections.abc import Callable, Sequence

import optuna.visualization
import plotly.graph_objects as go
from optuna import Study
from optuna.distributions import IntDistribution
from optuna.trial import FrozenTrial, TrialState

from search.reporting.drawing import BLUE, COLORS, LEGEND, Drawing
from search.results.counting import counted_alike, saving, words
from search.results.front import REFERENCE, front_point, hypervolume
from search.results.row import Row
from search.results.table import StudyTable
from search.storage.study import quiet_optuna
from search.storage.trials import made_trials

TRIAL = "trial"
"""The axis of numbers, beside those of parameters."""


def best_so_far(tables: Sequence[StudyTable]) -> go.Figure:
    """The largest U on validation after each trial, of this study and of others."""
    counted = counted_alike(tables)

    def curve(rows: list[Row]) -> list[float]:
        best = float("-inf")
        return [best := max(best, saving(row, counted)) for row in rows]

    title = f"Best retained saving U so far (validation; bytes by {words(counted)})"
    return _over_trials(tables, curve, title, "U")


def hypervolume_so_far(tables: Sequence[StudyTable]) -> go.Figure:
    """The hypervolume of accuracy and reduction after each trial, of this study and of others."""
    counted = counted_alike(tables)

    def curve(rows: list[Row]) -> list[float]:
        points = [front_point(row, counted) for row in rows]
        return [hypervolume(points[: count + 1], REFERENCE) for count in range(len(points))]

    return _over_trials(
        tables,
        curve,
        "Hypervolume so far (validation), from 1 point lost and no reduction, "
        f"bytes by {words(counted)}",
        "points x doublings of the reduction factor",
    )


def _over_trials(
    tables: Sequence[StudyTable],
    curve: Callable[[list[Row]], list[float]],
    title: str,
    unit: str,
) -> go.Figure:
    figure = go.Figure()
    for table, color in zip(tables, COLORS, strict=False):
        rows = sorted(table.rows, key=lambda row: row.trial.number)
        figure.add_scatter(
            x=list(range(1, len(rows) + 1)),
            y=curve(rows),
            mode="lines",
            line={"color": color, "shape": "hv"},
            name=table.name,
        )
    figure.update_layout(
        title=title,
        xaxis={"title": "finished trials"},
        yaxis={"title": unit},
        showlegend=True,
        legend=LEGEND,
        template="plotly_white",
    )
    return figure


def _saving(trial: FrozenTrial) -> float:
    return float(trial.user_attrs["saving"])


def _of_ours(study: Study) -> Study:
    """Return `study`, or a copy in memory where others have put trials into it."""
    made = made_trials(study)
    if len(made) == len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))):
        return study
    with quiet_optuna():
        copied = optuna.create_study(directions=study.directions)
    copied.add_trials(made)
    return copied


def importances(study: Study) -> go.Figure | None:
    """How much of U each parameter decides (PED-ANOVA); None where too few trials tell."""
    try:
        with warnings.catch_warnings():  # it reminds of the sign below, and of few trials
            warnings.filterwarnings("ignore", ".*to achieve low `target` values", UserWarning)
            warnings.filterwarnings("ignore", "Some regimes for parameter", UserWarning)
            values = optuna.importance.get_param_importances(
                study, target=lambda trial: -_saving(trial)
            )
    except (ValueError, RuntimeError):  # a parameter that never varied, or one trial alone
        return None
    figure = go.Figure(
        go.Bar(
            x=list(reversed(values.values())),
            y=list(reversed(values)),
            orientation="h",
            marker={"color": BLUE},
            hovertemplate="%{y}: %{x:.3f}",
        )
    )
    figure.update_layout(
        title="Importance of each parameter for U (PED-ANOVA)",
        xaxis={"title": "share"},
        yaxis={"automargin": True},
        template="plotly_white",
    )
    return figure


def parallel_coordinates(study: Study) -> Drawing:
    """Every trial as a line through its number and its parameters, coloured by U."""
    trials = made_trials(study)
    last = max(trial.number for trial in trials)
    with quiet_optuna():
        numbered = optuna.create_study(directions=study.directions)
    for trial in trials:
        numbered.add_trial(
            optuna.trial.create_trial(
                values=trial.values,
                params=trial.params | {TRIAL: trial.number},
                distributions=trial.distributions | {TRIAL: IntDistribution(0, max(1, last))},
                user_attrs={"saving": _saving(trial)},
            )
        )
    figure = optuna.visualization.plot_parallel_coordinate(
        numbered, target=_saving, target_name="U"
    )
    figure.update_layout(title="Parameters of each trial, and its U", template="plotly_white")
    axis = figure.layout.xaxis.ticktext.index(TRIAL)
    first = min(trial.number for trial in trials)
    marks = {
        round(first + line.y[axis] * (last - first)): (list(line.x), list(line.y))
        for line in figure.data
        if line.mode == "lines" and line.customdata is not None
    }
    told = "The parameters of each trial, and its U, as one line a trial."
    return Drawing("parameters", figure, told, marks)


def _marks(table: StudyTable, figure: go.Figure) -> dict[int, tuple[int, float]]:
    """Return where each trial of the first study is in a figure over finished trials."""
    curve = figure.data[0]
    numbers = sorted(row.trial.number for row in table.rows)
    return dict(zip(numbers, zip(curve.x, curve.y, strict=True), strict=True))


def _grown(what: str, figure: go.Figure, names: str) -> str:
    """Return what a figure over finished trials says: where it began, where and when it ended."""
    values = figure.data[0].y
    last = 1 + values.index(values[-1])
    return (
        f"{what} after each trial of {names}: from {values[0]:.4g} to {values[-1]:.4g}, which "
        f"finished trial {last} of {len(values)} reached."
    )


def search_figures(study: Study, table: StudyTable, others: Sequence[StudyTable]) -> list[Drawing]:
    """Return the figures that suit the study; those of parameters only where it has some."""
    tables = [table, *others]
    names = ", ".join(each.name for each in tables)
    best, covered = best_so_far(tables), hypervolume_so_far(tables)
    drawn = [
        Drawing("best", best, _grown("The largest U", best, names), _marks(table, best)),
        Drawing(
            "hypervolume",
            covered,
            _grown("What the front covers", covered, names),
            _marks(table, covered),
        ),
    ]
    if len(table.rows) > 1 and any(row.trial.params for row in table.rows):
        ours = _of_ours(study)
        important = importances(ours)
        if important is not None:
            first = important.data[0].y[-1]
            told = f"How much of U each parameter decides; most is decided by {first}."
            drawn.append(Drawing("importances", important, told))
        drawn.append(parallel_coordinates(study))  # of which numbers are its own
    return drawn
