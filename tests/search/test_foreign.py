"""What others do to a study of ours: their trials are named, odd ones fail, and it goes on."""

import json
import math
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from optuna_dashboard import get_note, save_note

from search import export, report, run
from search.storage.trials import NEEDED, made_trials

ARGUMENTS = ["--model", "cnn", "--data", "mnist5k", "--train-fraction", "0.1", "--epochs", "1"]
ARGUMENTS += ["--qat-epochs", "0", "--sparsity", "0,0.5", "--precision", "32", "--study", "s"]

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two finished trials."""
    made = tmp_path_factory.mktemp("finished")
    assert run.main([*ARGUMENTS, "--workers", "1", "--studies-dir", str(made)]) == 0
    return made


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of it, to do things to."""
    return Path(shutil.copytree(finished, tmp_path / "studies"))


def study_in(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name="s", storage=f"sqlite:///{folder / 's.db'}")


def commands(folder: Path) -> list[int]:
    """Run each command on the study; return the exit codes."""
    where = ["--studies-dir", str(folder)]
    return [
        run.main([*ARGUMENTS, *where]),
        report.main(["--study", "s", *where]),
        export.main(["--study", "s", *where, "--out", str(folder / "out")]),
    ]


def test_trials_that_others_complete_are_left_out_and_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = study_in(folder)
    study.optimize(lambda trial: trial.suggest_float("sparsity", 0, 1), n_trials=1)
    partly = {name: study.trials[1].user_attrs[name] for name in NEEDED if name != "quality"}
    study.add_trial(optuna.trial.create_trial(value=3.0, user_attrs=partly))
    capsys.readouterr()
    assert commands(folder) == [0, 0, 0]
    told = capsys.readouterr().out
    line = "Left out, as search.run did not make them (they have no plan): trials 2, 3."
    assert told.count(line) == 2
    assert [trial.number for trial in made_trials(study)] == [0, 1]
    assert "trials 2, 3" in (folder / "s" / "report.html").read_text()
    assert export.main(["--study", "s", "--studies-dir", str(folder), "--trial", "2",
                        "--out", str(folder / "two")]) == 2  # fmt: skip
    assert "Trial 2 of study 's' was not made by search.run" in capsys.readouterr().err


def test_a_foreign_trial_takes_no_combination_and_no_sample(tmp_path: Path) -> None:
    where = ["--studies-dir", str(tmp_path)]
    assert run.main([*ARGUMENTS, *where, "--trials", "1"]) == 0
    study = study_in(tmp_path)
    waiting = next(trial for trial in study.trials if trial.state == TrialState.WAITING)
    params = waiting.system_attrs["fixed_params"]
    distributions = {
        "sparsity": optuna.distributions.FloatDistribution(0, 0.5),
        "precision": optuna.distributions.CategoricalDistribution((32,)),
    }
    study.add_trial(optuna.trial.create_trial(value=9, params=params, distributions=distributions))
    assert run.main([*ARGUMENTS, *where]) == 0
    assert len(made_trials(study_in(tmp_path))) == 2
    sampled = [*ARGUMENTS, "--sampler", "random", "--study", "sampled", *where]
    assert run.main([*sampled, "--trials", "1"]) == 0
    other = optuna.load_study(study_name="sampled", storage=f"sqlite:///{tmp_path}/sampled.db")
    other.add_trial(optuna.trial.create_trial(value=9))
    assert run.main([*sampled, "--trials", "2"]) == 0
    assert len(made_trials(other)) == 2


def test_a_study_whose_attributes_are_lost_is_run_again(folder: Path) -> None:
    with sqlite3.connect(folder / "s.db") as database:
        database.execute("DELETE FROM trial_user_attributes")
    assert commands(folder) == [0, 0, 0]
    assert [trial.number for trial in made_trials(study_in(folder))] == [2, 3]


ODD: list[tuple[dict[str, Any], str]] = [
    ({"sparsity": 0.9}, "The value of the parameter 'precision' is not found"),
    ({"sparsity": 1.5, "precision": 32}, "`0 <= sparsity < 1` must hold, but got sparsity=1.5"),
    ({"sparsity": "high", "precision": 32}, "'high' is not a valid type"),
    ({"sparsity": math.nan, "precision": 32}, "`nan` is invalid value"),
    ({"sparsity": None, "precision": 32}, "'None' is not a valid type"),
    ({"sparsity": 0.5, "precision": 7}, "'7' not in (32,)"),
    ({"nonsense": 1}, "The value of the parameter 'sparsity' is not found"),
]
"""Parameters that are none of the study's, and what is said of them."""


def test_an_odd_trial_fails_with_its_reason_and_the_study_goes_on(folder: Path) -> None:
    study = study_in(folder)
    for params, _ in ODD:
        study.enqueue_trial(params)
    assert commands(folder) == [0, 0, 0]
    for trial, (_, reason) in zip(study_in(folder).trials[2:], ODD, strict=True):
        assert trial.state == TrialState.FAIL
        assert "are none of this study's: " in trial.user_attrs["failure"]
        assert reason in trial.user_attrs["failure"]
        assert "\n" not in trial.user_attrs["failure"]


def test_a_trial_that_somebody_queues_rightly_is_run(folder: Path) -> None:
    study_in(folder).enqueue_trial({"sparsity": 0.25, "precision": 32})
    assert commands(folder) == [0, 0, 0]
    assert made_trials(study_in(folder))[2].params == {"sparsity": 0.25, "precision": 32}


def test_a_note_that_the_user_wrote_stays(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = study_in(folder)
    assert get_note(study).startswith("# Study s\n")
    save_note(study, get_note(study) + "\nand what I think of it")
    assert report.main(["--study", "s", "--studies-dir", str(folder)]) == 0
    assert get_note(study).endswith("what I think of it")
    assert "note in optuna-dashboard is your own, and stays" in capsys.readouterr().out
    save_note(study, "")
    assert report.main(["--study", "s", "--studies-dir", str(folder)]) == 0
    assert get_note(study_in(folder)).startswith("# Study s\n")


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"nonsense": 1}, "a field that this version does not know: nonsense"),
        ({"model": "cnn"}, "The study's config is not one: .*missing"),
        (None, "The study's config is not one"),
    ],
)
def test_a_config_that_is_none_of_ours_is_one_line(
    config: dict[str, Any] | None, line: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "no config" if config is None else json.dumps(config)
    study_in(folder).set_user_attr("config", text)
    capsys.readouterr()
    assert commands(folder) == [2, 2, 2]
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 3
    assert all(line.split(": .*")[0] in each for each in told)


def test_any_folder_keeps_its_studies(tmp_path: Path) -> None:
    name = "what? 100%41 a{b} c#d ü ö"
    assert run.main([*ARGUMENTS, "--studies-dir", str(tmp_path / name)]) == 0
    assert (tmp_path / name / "s.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert report.main(["--study", "s", "--studies-dir", str(tmp_path / name)]) == 0


def test_files_that_are_gone_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "s" / "artifacts" / "trial-0001.onnx").unlink()
    capsys.readouterr()
    assert run.main([*ARGUMENTS, "--studies-dir", str(folder)]) == 0
    told = "The files of trials 1 are not here"  # but in the folder that this is a copy of
    assert told in capsys.readouterr().out
    assert told in (folder / "s" / "report.html").read_text()


def test_of_files_that_answer_equally_well_the_smallest_is_recommended(folder: Path) -> None:
    study = study_in(folder)
    attributes = study.best_trial.user_attrs | {"shipped_bytes": 10, "artifact_bytes": 10}
    study.add_trial(optuna.trial.create_trial(value=study.best_value, user_attrs=attributes))
    assert report.main(["--study", "s", "--studies-dir", str(folder)]) == 0
    assert '"recommended": 2' in (folder / "s" / "report.html").read_text()
