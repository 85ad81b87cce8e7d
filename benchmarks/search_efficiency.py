"""How fast samplers find good compressions: TPE against random sampling, in one space.

`python -m benchmarks.search_efficiency` runs the same number of trials of the CNN on 5,000
embedded digits with each sampler and seed, two studies side by side, and writes `table.md`,
`curves.csv` and `search_efficiency.html`: the best retained saving U and the hypervolume of
(accuracy, doublings of the reduction factor), on validation, after so many trials and epochs. It
resumes like any study. A seed decides initial weights, batches and samples, so samplers are
compared seed by seed: t is that of the differences from random sampling, which 2.78 and more tells
from chance for 5 seeds (two-sided, 5 %).
"""

import argparse
import math
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

from objectives.files import write_atomically
from search.results.front import REFERENCE, front_point, hypervolume
from search.results.spread import spread
from search.results.table import StudyTable
from search.storage.paths import StudyPaths
from search.storage.study import load_study

WIDE = ("--space", "wide")
ARMS: dict[str, tuple[str, ...]] = {
    "TPE for U": (*WIDE, "--sampler", "tpe", "--objective", "saving"),
    "TPE for the front": (*WIDE, "--sampler", "tpe", "--objective", "pareto"),
    "random": (*WIDE, "--sampler", "random", "--objective", "saving"),
}
COLORS = dict(zip(ARMS, ("#0072b2", "#56b4e9", "#d55e00"), strict=True))
TRIALS = 36
SHOWN = (10, 20, 30, 36)


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
    (options.out / "table.md").write_text(_table(curves) + "\n")
    write_atomically(options.out / "curves.csv", _csv(curves).encode())
    _picture(curves).write_html(
        options.out / "search_efficiency.html", config={"displayModeBar": False}
    )
    return 0


def _name(arm: str, seed: int) -> str:
    return f"{arm.replace(' ', '-')}-{seed}"


def _run(arm: str, seed: int, folder: Path) -> None:
    where = ("--study", _name(arm, seed), "--studies-dir", str(folder))
    command = ["--model", "cnn", "--data", "mnist5k", "--workers", "1", "--seed", str(seed)]
    command += [*ARMS[arm], "--trials", str(TRIALS)]
    subprocess.run(
        [sys.executable, "-m", "search.run", *command, *where],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _curve(arm: str, seed: int, folder: Path) -> Curve:
    paths = StudyPaths(folder, _name(arm, seed))
    rows = StudyTable(load_study(paths.study, paths.url)).rows
    saving: list[float] = []
    volume: list[float] = []
    epochs: list[float] = []
    points: list[tuple[float, float]] = []
    trained: dict[str, int] = {}
    for row in sorted(rows, key=lambda row: row.trial.number):
        points.append(front_point(row, row.counted))
        for stage, key in row.attribute("stage_keys").items():
            trained[key] = next(s.epochs for s in row.plan.stages() if s.stage == stage)
        saving.append(max(float(row.attribute("saving")), saving[-1] if saving else 0.0))
        volume.append(hypervolume(points, REFERENCE))
        epochs.append(float(sum(trained.values())))
    return Curve(saving, volume, epochs)


def _csv(curves: dict[str, list[Curve]]) -> str:
    """Return each study after each of its trials, unrounded."""
    lines = ["sampler,seed,trials,epochs,best_saving,hypervolume"]
    for arm, of_arm in curves.items():
        for seed, curve in enumerate(of_arm):
            values = zip(curve.epochs, curve.saving, curve.hypervolume, strict=True)
            for count, (epochs, saving, volume) in enumerate(values, start=1):
                lines.append(f"{arm},{seed},{count},{epochs:g},{saving!r},{volume!r}")
    return "\n".join(lines) + "\n"


def paired_t(values: Sequence[float], others: Sequence[float]) -> float:
    """Return Student's t of the differences; nan where all are equal, or there are too few."""
    differences = [a - b for a, b in zip(values, others, strict=True)]
    deviation = stdev(differences) if len(differences) > 1 else 0.0
    return mean(differences) / deviation * len(differences) ** 0.5 if deviation else math.nan


def _table(curves: dict[str, list[Curve]]) -> str:
    def told(arm: str, count: int, name: str, form: str) -> str:
        ours, random = (
            [getattr(curve, name)[count - 1] for curve in curves[each]] for each in (arm, "random")
        )
        t = paired_t(ours, random)
        return spread(ours, form) + ("" if math.isnan(t) else f" (t {t:+.2f})")

    rows = [
        [
            arm,
            count,
            f"{mean(curve.epochs[count - 1] for curve in of_arm):.0f}",
            told(arm, count, "saving", ".4f"),
            told(arm, count, "hypervolume", ".2f"),
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
