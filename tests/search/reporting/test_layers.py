"""What the report tells of the layers of the recommended trial, and of the cost of the search."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from optuna import Study
from optuna.trial import TrialState, create_trial

from objectives.errors import MeasurementError
from objectives.plan import Plan
from search.reporting.layers import TrialLayers, layer_drawing, layer_table, recommended_layers
from search.results.cost import cost_table
from search.results.front import chosen_trial
from search.results.table import StudyTable
from search.storage.file_finding import FileFinder
from search.storage.paths import StudyPaths
from search.storage.study import load_study


def opened(folder: Path) -> tuple[Study, StudyTable, FileFinder]:
    paths = StudyPaths(folder, "s")
    study = load_study("s", paths.url)
    return study, StudyTable(study), FileFinder(study, paths)


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


def test_layers_are_those_of_the_recommended_file(digits_study: Path) -> None:
    made = recommended_layers(*opened(digits_study))
    chosen = chosen_trial(opened(digits_study)[0])
    assert made is not None
    assert chosen is not None
    assert made.trial == chosen.number
    file = digits_study / chosen.user_attrs["artifact"]
    model = onnx.load(file)
    weights = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    assert [layer.name for layer in made.layers] == ["conv", "dense"]
    for layer, kept in zip(made.layers, made.kept_pct(), strict=True):
        weight = weights[f"{layer.name}.weight"].astype(np.float32)
        assert (layer.nonzero, layer.weights) == (np.count_nonzero(weight), weight.size)
        assert kept == pytest.approx(100 * np.count_nonzero(weight) / weight.size)
        assert layer.size_bytes > weights[f"{layer.name}.weight"].nbytes
    assert made.layers[1].gzip_bytes < made.layers[1].size_bytes
    assert sum(layer.size_bytes for layer in made.layers) < file.stat().st_size
    assert made.bits() == [chosen.params["precision"]] * 2


def test_bits_of_single_layers_are_the_plans(digits_study: Path) -> None:
    made = recommended_layers(*opened(digits_study))
    assert made is not None
    text = made.plan.to_json().replace(
        '"bits": 8, "layers": {}', '"bits": 8, "layers": {"conv": 4}'
    )
    other = TrialLayers(made.trial, Plan.from_json(text), made.layers)
    assert other.bits() == [4, 8]
    bars = {bar.name: list(bar.x) for bar in layer_drawing(other).figure.data}
    assert bars["bits"] == [4, 8]
    assert bars["kept"] == other.kept_pct()
    assert bars["after gzip"] == [layer.gzip_bytes for layer in made.layers]
    assert [row[3] for row in cells(layer_table(other, "pipe"))] == ["4", "8"]


def test_without_the_file_there_are_none(digits_study: Path, tmp_path: Path) -> None:
    study, table, _ = opened(digits_study)
    with pytest.raises(MeasurementError, match=r"The file of trial \d is not here but in "):
        recommended_layers(study, table, FileFinder(study, StudyPaths(tmp_path, "s")))


def test_cost_counts_epochs_seconds_and_how_trials_ended(
    digits_study: Path, tmp_path: Path
) -> None:
    with (  # the newest of it may be in its write-ahead log
        closing(sqlite3.connect(digits_study / "s.db")) as source,
        closing(sqlite3.connect(tmp_path / "s.db")) as copy,
    ):
        source.backup(copy)
    study = opened(tmp_path)[0]
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"failure": "It diverged."}))
    study.add_trial(create_trial(state=TrialState.PRUNED))
    study.add_trial(create_trial(state=TrialState.PRUNED))
    rows = {row[0]: row[1:] for row in cells(cost_table(opened(tmp_path)[1], "pipe"))}
    assert rows["finished"][:2] == ["4", str(2 + 2 + 2 * 1)]  # baseline, pruning, two times QAT
    assert rows["failed"][0] == "1"
    assert rows["stopped early"][0] == "2"
    finished = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    spent = {
        stage: [
            t.user_attrs["stage_seconds"][stage]
            for t in finished
            if stage in t.user_attrs["stage_seconds"]
        ]
        for stage in ("train", "prune", "quantize", "export", "measure", "code")
    }
    for stage, seconds in spent.items():
        assert rows[f"stage {stage}"] == [str(len(seconds)), "-", f"{sum(seconds):,.1f}"]
    assert float(rows["finished"][2]) >= sum(map(sum, spent.values())) - 0.1
    clock = float(rows["all, by the clock"][2])  # of one worker
    assert clock == pytest.approx(float(rows["finished"][2]), abs=0.1)


def test_the_page_shows_both(digits_study: Path) -> None:
    page = (digits_study / "s" / "report.html").read_text()
    for title in ("What the search took", "What each layer became"):
        assert re.search(rf"<details.*>\n<summary><h2>{title}</h2></summary>", page)
    assert 'id="layers"' in page
