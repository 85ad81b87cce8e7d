import json
import re
from pathlib import Path

import pytest

from models.errors import BadInputError
from search.sampling.space import PaperSpace
from search.settings.config import StudyConfig
from search.storage.paths import StudyPaths

SETTINGS = {
    "model": "cnn",
    "data": "mnist5k",
    "data_fingerprint": "0",
    "epochs": 2,
    "qat_epochs": 1,
    "batch_size": 64,
    "lr": 0.01,
}


def test_a_config_survives_json() -> None:
    config = StudyConfig(**SETTINGS, sparsity=(0.1, 0.2), precision=(8,), allocation="global")
    assert StudyConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(("stored", "extra"), [(True, ("latency",)), (False, ())])
def test_a_config_from_before_there_was_energy_is_read(stored: bool, extra: tuple) -> None:
    config = StudyConfig(**SETTINGS, objective="pareto", extra_objectives=extra)
    fields = json.loads(config.to_json())
    del fields["extra_objectives"]
    assert StudyConfig.from_json(json.dumps(fields | {"with_latency": stored})) == config


def test_the_papers_grid_has_18_combinations() -> None:
    grid = PaperSpace(StudyConfig(**SETTINGS)).grid()
    assert len({tuple(params.items()) for params in grid}) == 18
    assert grid[0] == {"sparsity": 0.0, "precision": 32}
    # none waits for another's pruning, and the last ones train nothing
    assert [params["precision"] for params in grid] == [32] * 6 + [8] * 6 + [16] * 6


def test_a_combinations_plan_carries_the_configs_settings() -> None:
    config = StudyConfig(**SETTINGS, allocation="global")
    plan = config.plan(0.9, 8)
    assert (plan.get("prune").sparsity, plan.get("quantize").bits) == (0.9, 8)
    assert (
        plan.get("prune").allocation,
        plan.get("prune").epochs,
        plan.get("quantize").epochs,
    ) == ("global", 2, 1)
    assert {plan.train.lr, plan.get("prune").lr, plan.get("quantize").lr} == {0.01}


def test_the_baseline_can_have_another_optimizer_and_rate_than_fine_tuning() -> None:
    plan = StudyConfig(**SETTINGS, baseline_optimizer="sgd", baseline_lr=0.1).plan(0.9)
    assert (plan.train.optimizer, plan.train.lr, plan.get("prune").lr) == ("sgd", 0.1, 0.01)


@pytest.mark.parametrize(
    ("change", "law"),
    [
        ({"sparsity": ()}, "`sparsity is not empty`"),
        ({"sparsity": (0.5, 0.5)}, "`sparsity names no value twice`"),
        ({"sparsity": (0.5, 1.0)}, r"`0 <= sparsity < 1`.*1\.0"),
        ({"precision": (32, 12)}, r"`bits in \(32, 16, 8, 6, 5, 4, 3, 2\)`.*12"),
        ({"objective": "beauty"}, "`objective in .*'beauty'"),
        ({"threads": 0}, "`threads >= 1`.*0"),
        ({"seed": -1}, r"`0 <= seed < 2\*\*32`.*-1"),
        ({"allocation": "fair"}, "`allocation in .*'fair'"),
        ({"epochs": 0}, "`epochs >= 1`.*0"),
        ({"weights": "1", "baseline_lr": 0.1}, "`--weights takes the place of .*0.1"),
    ],
)
def test_bad_settings_are_refused(change: dict, law: str) -> None:
    with pytest.raises(BadInputError, match=law):
        StudyConfig(**(SETTINGS | change))


def test_a_differing_resume_names_what_differs_and_nothing_else() -> None:
    stored = StudyConfig(**SETTINGS)
    now = StudyConfig(**(SETTINGS | {"epochs": 3, "data_fingerprint": "1"}))
    with pytest.raises(BadInputError) as caught:
        now.require_same(stored, "mine")
    assert str(caught.value) == (
        "Since study 'mine' was made, the data 'mnist5k' have changed (what they yield, or in "
        "which order). Study 'mine' was made with other settings: epochs 2 (now 3). Undo that and "
        "resume it with those, or give `--study` another name."
    )
    stored.require_same(StudyConfig(**SETTINGS), "mine")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"model_fingerprint": "1"},
            r"Since .* made, the model 'cnn' has changed \(its code, .*\)\. Undo that, or give .*",
        ),
        (
            {"metric_fingerprint": "1"},
            r"Since .* the metric 'accuracy' has changed \(its code\)\. Undo that, or .*",
        ),
        (
            {"weights": "ab12"},
            r"Study .* other settings: without trained weights\. Resume .*",
        ),
        (
            {"model": "alexnet", "model_fingerprint": "1"},
            r"Study .* other settings: model 'cnn' \(now 'alexnet'\)\. Resume .*",
        ),
        (
            {"train_fraction": 0.5, "data_fingerprint": "1"},
            r"Study .* other settings: train_fraction 1\.0 \(now 0\.5\)\. Resume .*",
        ),
    ],
)
def test_what_has_changed_is_said_in_words_not_in_hashes(change: dict, line: str) -> None:
    with pytest.raises(BadInputError) as caught:
        StudyConfig(**(SETTINGS | change)).require_same(StudyConfig(**SETTINGS), "mine")
    assert re.fullmatch(line, str(caught.value))


def stored_before(config: StudyConfig) -> StudyConfig:
    """The config as it was stored when estimates of energy had no version."""
    fields = json.loads(config.to_json())
    del fields["energy_version"]
    return StudyConfig.from_json(json.dumps(fields))


def test_a_study_of_another_estimate_of_energy_is_refused_in_a_line() -> None:
    pareto = SETTINGS | {"objective": "pareto", "extra_objectives": ("latency", "energy")}
    now = StudyConfig(**pareto, energy_version=2)
    for then, told in ((stored_before(now), 1), (StudyConfig(**pareto, energy_version=3), 3)):
        with pytest.raises(BadInputError) as caught:
            now.require_same(then, "mine")
        assert f"'mine' minimizes energy as version {told} of the estimate" in str(caught.value)
        assert "\n" not in str(caught.value)
    now.require_same(StudyConfig.from_json(now.to_json()), "mine")


def test_the_estimate_of_energy_does_not_concern_a_study_that_does_not_minimize_it() -> None:
    for settings in (SETTINGS, SETTINGS | {"objective": "pareto"}):
        config = StudyConfig(**settings)
        config.require_same(stored_before(config), "mine")
    energy = StudyConfig(
        **SETTINGS, objective="pareto", extra_objectives=("energy",), energy_version=2
    )
    with pytest.raises(BadInputError, match=r"extra_objectives \(\) \(now \('energy',\)\)\."):
        energy.require_same(StudyConfig(**SETTINGS, objective="pareto"), "mine")


def test_ranges_may_be_said_in_any_order() -> None:
    wide = SETTINGS | {"space": "wide"}
    said = ("prune.ramp=0.5", "distill.weight=0.1,0.9")
    now = StudyConfig(**wide, ranges=said)
    now.require_same(StudyConfig(**wide, ranges=said[::-1]), "mine")
    with pytest.raises(BadInputError, match=r"ranges \('distill.weight=0.1,0.9',\) \(now"):
        now.require_same(StudyConfig(**wide, ranges=said[1:]), "mine")


@pytest.mark.parametrize("name", ["", "a/b", "a\\b", "../x", ".hidden", " a", "a\n", "x" * 101])
def test_a_study_name_that_nobody_could_type_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="A study name must be"):
        StudyPaths(tmp_path, name)
