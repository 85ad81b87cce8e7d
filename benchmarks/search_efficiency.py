"""How fast samplers find good compressions: TPE against random sampling and the grid.

`python -m benchmarks.search_efficiency` runs the same number of trials of the CNN on 5,000
embedded digits with each sampler and seed, two studies side by side, and writes
`search_efficiency.md` and `search_efficiency.html`: the best retained saving U and the hypervolume
of (accuracy, doublings of the reduction factor), on validation, after so many trials and so many
epochs. It resumes like any study. A seed decides initial weights, batches and samples, so samplers
are compared seed by seed.
"""

import argparse
import random
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import plotly.graph_objects as go
from plotly.subplots import make_subplots
from tabulate import tabulate

from search.front import REFERENCE, front_point, hypervolume
from search.paths import StudyPaths
from search.study import load_study
from search.table import Row, StudyTable

WIDE = ("--space", "wide")
ARMS: dict[str, tuple[str, ...]] = {
    "TPE for U": (*WIDE, "--sampler", "tpe", "--objective", "saving"),
    "TPE for the front": (*WIDE, "--sampler", "tpe", "--objective", "pareto"),
    "random": (*WIDE, "--sampler", "random", "--objective", "saving"),
    "grid": ("--objective", "saving", "--precision", "32,16,8,6,4,3"),
}
COLORS = dict(zip(ARMS, ("#0072b2", "#56b4e9", "#d55e00", "#777777"), strict=True))
TRIALS = 36
"""As many as the grid has: 6 sparsities and 6 precisions."""
SHOWN = (10, 20, 30, 36)
GRID_ORDERS = 100
"""A grid has no order of its own: the mean over so many random ones is shown."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One study after each of its trials."""

    saving: list[float]
    hypervolume: list[float]
    epochs: list[float]


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is missing, write table and picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("studies/search-efficiency"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="studies at the same time")
    options = parser.parse_args(argv)
    with ThreadPoolExecutor(options.workers) as pool:
        jobs = [(arm, seed) for seed in range(options.seeds) for arm in ARMS]
        list(pool.map(lambda job: _run(job[0], job[1], options.out), jobs))
    curves = {
        arm: [_curve(arm, seed, options.out) for seed in range(options.seeds)] for arm in ARMS
    }
    (options.out / "search_efficiency.md").write_text(_table(curves) + "\n")
    _picture(curves).write_html(
        options.out / "search_efficiency.html", config={"displayModeBar": False}
    )
    return 0


def _name(arm: str, seed: int) -> str:
    return f"{arm.replace(' ', '-')}-{seed}"


def _run(arm: str, seed: int, folder: Path) -> None:
    trials = () if arm == "grid" else ("--trials", str(TRIALS))
    where = ("--study", _name(arm, seed), "--studies-dir", str(folder))
    command = ["--model", "cnn", "--data", "mnist5k", "--workers", "1", "--seed", str(seed)]
    command += [*ARMS[arm], *trials]
    subprocess.run(
        [sys.executable, "-m", "search.run", *command, *where],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _curve(arm: str, seed: int, folder: Path) -> Curve:
    paths = StudyPaths(folder, _name(arm, seed))
    rows = StudyTable(load_study(paths.study, paths.url)).rows
    rows = sorted(rows, key=lambda row: row.trial.number)
    if arm != "grid":
        return _curve_of(rows)
    shuffled = random.Random(seed)
    curves = [_curve_of(shuffled.sample(rows, len(rows))) for _ in range(GRID_ORDERS)]
    return Curve(
        saving=[mean(values) for values in zip(*(c.saving for c in curves), strict=True)],
        hypervolume=[
            mean(values) for values in zip(*(c.hypervolume for c in curves), strict=True)
        ],
        epochs=[mean(values) for values in zip(*(c.epochs for c in curves), strict=True)],
    )


def _curve_of(rows: list[Row]) -> Curve:
    """Return what `rows` give in this order; a stage is trained when it first occurs."""
    saving: list[float] = []
    volume: list[float] = []
    epochs: list[float] = []
    points: list[tuple[float, float]] = []
    trained: dict[str, int] = {}
    for row in rows:
        points.append(front_point(row, row.counted))
        for stage, key in row.attribute("stage_keys").items():
            trained[key] = next(s.epochs for s in row.plan.stages() if s.stage == stage)
        saving.append(max(float(row.attribute("saving")), saving[-1] if saving else 0.0))
        volume.append(hypervolume(points, REFERENCE))
        epochs.append(float(sum(trained.values())))
    return Curve(saving, volume, epochs)


def _table(curves: dict[str, list[Curve]]) -> str:
    def told(values: Sequence[float], form: str) -> str:
        return f"{mean(values):{form}} ± {stdev(values):{form}}"

    rows = [
        [
            arm,
            count,
            f"{mean(curve.epochs[count - 1] for curve in of_arm):.0f}",
            told([curve.saving[count - 1] for curve in of_arm], ".4f"),
            told([curve.hypervolume[count - 1] for curve in of_arm], ".1f"),
        ]
        for count in SHOWN
        for arm, of_arm in curves.items()
    ]
    headers = ["sampler", "trials", "epochs", "best U", "hypervolume, pp x doublings"]
    return tabulate(rows, headers, "pipe", disable_numparse=True)


def _picture(curves: dict[str, list[Curve]]) -> go.Figure:
    figure = make_subplots(
        rows=2,
        cols=2,
        subplot_titles=("best U", "hypervolume", "best U", "hypervolume"),
    )
    for arm, of_arm in curves.items():
        trials = list(range(1, TRIALS + 1))
        epochs = [mean(each) for each in zip(*(c.epochs for c in of_arm), strict=True)]
        for row, x in ((1, trials), (2, epochs)):
            for column, values in (
                (1, [curve.saving for curve in of_arm]),
                (2, [curve.hypervolume for curve in of_arm]),
            ):
                each = list(zip(*values, strict=True))
                _draw(figure, arm, x, each, row=row, column=column)
    for column in (1, 2):
        figure.update_xaxes(title="trials", row=1, col=column)
        figure.update_xaxes(title="training epochs spent", row=2, col=column)
    figure.update_yaxes(range=[0.75, 1], col=1)
    title = f"Mean of {len(curves['random'])} seeds; shaded from the lowest to the highest"
    figure.update_layout(title=title, template="plotly_white", width=1200, height=800)
    return figure


def _draw(
    figure: go.Figure,
    arm: str,
    x: Sequence[float],
    values: list[tuple[float, ...]],
    *,
    row: int,
    column: int,
) -> None:
    color = COLORS[arm]
    place = {"row": row, "col": column}
    band = {"line": {"width": 0}, "showlegend": False, "hoverinfo": "skip", "opacity": 0.15}
    figure.add_scatter(x=x, y=[min(v) for v in values], mode="lines", **band, **place)
    figure.add_scatter(
        x=x,
        y=[max(v) for v in values],
        mode="lines",
        fill="tonexty",
        fillcolor=f"rgba({int(color[1:3], 16)},{int(color[3:5], 16)},{int(color[5:], 16)},0.12)",
        **band,
        **place,
    )
    figure.add_scatter(
        x=x,
        y=[mean(v) for v in values],
        mode="lines",
        line={"color": color, "width": 2},
        name=arm,
        legendgroup=arm,
        showlegend=(row, column) == (1, 1),
        **place,
    )


if __name__ == "__main__":
    sys.exit(main())
