from pathlib import Path

import optuna
import pytest
from optuna.trial import FixedTrial

from models.errors import BadInputError
from search import run
from search.sampling.method import SearchMethod
from search.sampling.ranges import Ranged, parsed
from search.sampling.space import WideSpace
from search.settings.config import StudyConfig
from search.storage.study import load_study

SETTINGS = {
    "model": "cnn",
    "data": "mnist5k",
    "epochs": 3,
    "qat_epochs": 1,
    "batch_size": 128,
    "lr": 1e-3,
    "space": "wide",
    "methods": ("width", "prune", "uniform", "quantize"),
}


def config_with(*ranges: str) -> StudyConfig:
    return StudyConfig(**SETTINGS, ranges=ranges)


def test_a_range_takes_the_place_of_the_spaces_own() -> None:
    study = optuna.create_study()
    space = WideSpace(config_with("uniform.rate=2,3", "representation=uniform"))
    for _ in range(20):
        trial = study.ask()
        assert 2 <= space.suggest(trial).get("uniform").rate <= 3
    distribution = trial.distributions["uniform.rate"]
    assert (distribution.low, distribution.high, distribution.log) == (2, 3, True)


def test_a_value_is_no_parameter_any_more() -> None:
    space = WideSpace(config_with("width=0.4", "representation=quantize", "precision=4"))
    study = optuna.create_study()
    trial = study.ask()
    plan = space.suggest(trial)
    assert plan.get("width").width == 0.4
    assert plan.get("quantize").bits == 4
    assert {"width", "precision", "representation"}.isdisjoint(trial.params)
    assert "prune.density" in trial.params


def test_what_has_one_value_anyway_stays_a_parameter() -> None:
    """Studies of before have it so."""
    trial = optuna.create_study().ask()
    WideSpace(config_with("representation=quantize")).suggest(trial)
    assert trial.params["prune.epochs"] in {1, 2, 3}
    once = StudyConfig(**(SETTINGS | {"epochs": 1, "methods": ("prune",)}))
    trial = optuna.create_study().ask()
    WideSpace(once).suggest(trial)
    assert trial.params["prune.epochs"] == 1


def test_of_choices_those_stay_that_are_named() -> None:
    ranged = Ranged(FixedTrial({"precision": 8}), parsed(["precision=8,4"]))
    assert ranged.suggest_categorical("precision", (32, 16, 8, 4, 2)) == 8
    study = optuna.create_study()
    space = WideSpace(config_with("precision=8,4", "representation=quantize"))
    found = {space.suggest(study.ask()).get("quantize").bits for _ in range(20)}
    assert found == {8, 4}


def test_whole_numbers_stay_whole() -> None:
    space = WideSpace(config_with("prune.epochs=1,2"))
    study = optuna.create_study()
    assert {space.suggest(study.ask()).get("prune").epochs for _ in range(20)} == {1, 2}


@pytest.mark.parametrize(
    ("ranges", "line"),
    [
        (("width",), "`--range width` is not NAME=LOW,HIGH, or NAME=VALUE."),
        (("=3",), "`--range =3` is not NAME="),
        (("width=0.3", "width=0.4"), "`--range width=...` is given twice."),
        (("wdith=0.3",), "`--range wdith=...`: this space has .*prune.density, .*width"),
        (("width=0.5,0.3",), "--range width names a number, or a lowest and a highest"),
        (("width=a",), "--range width names a number, or a lowest and a highest.*a"),
        (("prune.epochs=1.5",), "--range prune.epochs names whole numbers"),
        (("precision=7",), "--range precision in .*7"),
        (("width=0.5,1.5",), "0 < width <= 1"),
        (("uniform.rate=0,1",), "--range uniform.rate begins above 0"),
    ],
)
def test_bad_ranges_are_refused_before_anything_trains(ranges: tuple[str, ...], line: str) -> None:
    with pytest.raises(BadInputError, match=line):
        SearchMethod(sampler="tpe").check(config_with(*ranges))


def test_a_study_keeps_its_ranges() -> None:
    config = config_with("uniform.rate=2,3")
    assert StudyConfig.from_json(config.to_json()) == config


def test_a_study_of_ranges_is_sent_to_workers(tmp_path: Path) -> None:
    fast = ["--model", "cnn", "--data", "mnist5k", "--train-fraction", "0.2", "--epochs", "1"]
    where = ["--study", "s", "--studies-dir", str(tmp_path), "--trials", "2", "--workers", "2"]
    said = ["--range", "uniform.noise=0.1,0.2", "--range", "uniform.rate=0.1"]
    options = ["--methods", "uniform", "--qat-epochs", "1", "--sampler", "random"]
    assert run.main([*fast, *where, *options, *said]) == 0
    for trial in load_study("s", f"sqlite:///{tmp_path / 's.db'}").trials:
        assert set(trial.params) == {"uniform.noise", "uniform.lr"}
        assert 0.1 <= trial.params["uniform.noise"] <= 0.2
