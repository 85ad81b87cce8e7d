"""Searches beyond the grid, on few epochs of real digits."""

import json
import re
from pathlib import Path

import pytest
from optuna.trial import create_trial

from objectives.artifact.energy import ENERGY_VERSION
from search import run
from search.results.columns import ENERGY
from search.results.front import front_rows
from search.results.row import GZIP, Row
from search.results.table import StudyTable
from search.settings.config import StudyConfig
from search.storage.study import load_study

FAST = ("--model", "cnn", "--data", "mnist5k", "--train-fraction", "0.2")
FAST += ("--epochs", "1", "--qat-epochs", "1")


def start(folder: Path, *arguments: str) -> int:
    return run.main([*FAST, "--study", "s", "--studies-dir", str(folder), *arguments])


def test_a_pareto_search_of_the_wide_space(tmp_path: Path) -> None:
    wide = ("--space", "wide", "--objective", "pareto")
    assert start(tmp_path, *wide, "--max-drop", "2", "--max-bytes", "30000", "--trials", "12") == 0
    study = load_study("s", f"sqlite:///{tmp_path / 's.db'}")
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert len(study.trials) == 12
    names = {f"prune.{name}" for name in ("density", "allocation", "ramp", "epochs", "lr")}
    names |= {"precision", "quantize.symmetric", "quantize.per_channel"}
    for trial in study.trials:
        facts = trial.user_attrs
        assert trial.params.keys() == names
        assert trial.values == [facts["val_accuracy_pct"], facts["artifact_bytes"]]
        assert trial.constraints == {
            "max_drop": pytest.approx(-facts["val_delta_pct"] - 2),
            "max_bytes": facts["artifact_bytes"] - 30_000,
        }
    table = StudyTable(study)
    front = front_rows(table)
    assert all(excess <= 0 for row in front for excess in row.trial.constraints.values())
    for better, worse in zip(front[1:], front, strict=False):
        assert better.attribute("artifact_bytes") > worse.attribute("artifact_bytes")
        assert better.attribute("val_accuracy_pct") > worse.attribute("val_accuracy_pct")
    assert start(tmp_path, "--objective", "pareto") == 2  # the study was made with another space


def test_a_wide_search_prunes_only_by_the_allocation_that_is_named(tmp_path: Path) -> None:
    arguments = ("--space", "wide", "--allocation", "lamp", "--sampler", "random")
    assert start(tmp_path, *arguments, "--trials", "2") == 0
    study = load_study("s", f"sqlite:///{tmp_path / 's.db'}")
    assert [trial.params["prune.allocation"] for trial in study.trials] == ["lamp", "lamp"]


def test_latency_and_energy_can_be_objectives_too(tmp_path: Path) -> None:
    arguments = ("--objective", "pareto", "--with", "energy,latency", "--sampler", "random")
    assert start(tmp_path, *arguments, "--trials", "2") == 0
    study = load_study("s", f"sqlite:///{tmp_path / 's.db'}")
    fastest = min(study.trials, key=lambda trial: trial.user_attrs["latency_ms"])
    assert fastest.number in {row.trial.number for row in front_rows(StudyTable(study))}
    for trial in study.trials:
        facts = trial.user_attrs
        assert trial.values[2:] == [facts["energy_uj"], facts["latency_ms"]]
    assert "est. energy uJ" in (tmp_path / "s" / "report.md").read_text()
    page = (tmp_path / "s" / "report.html").read_text()
    assert re.search(r'\["energy, an estimate", "-", "[\d.]+ uJ", "-"\]', page)


def forget_the_estimates_version(folder: Path) -> None:
    """Make of the study in `folder` one from before estimates of energy had a version."""
    study = load_study("s", f"sqlite:///{folder / 's.db'}")
    fields = json.loads(study.user_attrs["config"])
    del fields["energy_version"]
    study.set_user_attr("config", json.dumps(fields))


def test_old_and_new_estimates_of_energy_are_not_mixed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pareto = ("--objective", "pareto", "--sampler", "random")
    energy = (*pareto, "--with", "energy")
    assert start(tmp_path / "energy", *energy, "--trials", "1") == 0
    assert start(tmp_path / "energy", *energy, "--trials", "2") == 0
    forget_the_estimates_version(tmp_path / "energy")
    capsys.readouterr()
    assert start(tmp_path / "energy", *energy, "--trials", "3") == 2
    err = capsys.readouterr().err
    assert err.startswith("Study 's' minimizes energy as version 1 of the estimate gives it")
    assert err.count("\n") == 1
    assert len(load_study("s", f"sqlite:///{tmp_path / 'energy' / 's.db'}").trials) == 2

    assert start(tmp_path / "size", *pareto, "--trials", "1") == 0
    forget_the_estimates_version(tmp_path / "size")
    assert start(tmp_path / "size", *pareto, "--trials", "2") == 0


def test_a_table_tells_of_which_version_an_estimate_is() -> None:
    def row(**facts: object) -> Row:
        trial = create_trial(value=0.0, user_attrs=facts)
        plan = StudyConfig(
            model="cnn", data="mnist5k", epochs=1, qat_epochs=1, batch_size=64, lr=0.01
        ).plan()
        return Row(trial, None, None, reproducible=False, plan=plan, counted=GZIP)

    (cell,) = ENERGY.values()
    assert cell(row()) == "-"
    assert cell(row(energy_uj=12.345)) == "12.3, v1"
    assert cell(row(energy_uj=12.345, energy_version=ENERGY_VERSION)) == "12.3"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--max-drop", "-1"), "`max_drop >= 0` must hold, but got max_drop=-1.0"),
        (("--max-bytes", "-1"), "`max_bytes >= 0` must hold"),
        (("--with", "latency"), "`--with latency goes with --objective pareto` must hold"),
        (
            ("--objective", "pareto", "--with", "weight"),
            "`--with names some of latency, ram, energy` must hold, but got named='weight'",
        ),
        (
            ("--objective", "pareto", "--with", "energy,energy"),
            "`--with names none twice` must hold",
        ),
        (("--space", "wide", "--sampler", "grid"), "`--sampler grid` knows no grid of the space"),
        (("--trials", "0"), "Argument --trials: must be greater than 0, but got 0"),
        (("--sampler", "best"), "Argument --sampler: invalid choice: 'best'"),
        (("--space", "deep"), "Argument --space: invalid choice: 'deep'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = start(tmp_path, *arguments)
    except SystemExit as exit_:
        code = exit_.code
    assert code == 2
    err = capsys.readouterr().err
    assert err.startswith(line)
    assert err.count("\n") == 1


def test_values_follow_the_objective() -> None:
    settings = {"model": "cnn", "data": "mnist", "epochs": 1, "qat_epochs": 1, "batch_size": 1}
    pareto = StudyConfig(**settings, lr=0.1, objective="pareto")
    assert pareto.values == ("val_accuracy_pct", "artifact_bytes")
    assert StudyConfig(**settings, lr=0.1, objective="saving").values == ("saving",)
