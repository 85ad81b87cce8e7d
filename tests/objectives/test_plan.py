import json

import pytest
from toys import toy_plan

from models.errors import BadInputError
from objectives.plan import METHODS, STAGES, Plan
from objectives.stages import method_names
from objectives.stages.prune import WeightPruning
from objectives.stages.quantize import Quantization
from objectives.stages.train import BaselineTraining

COMMON = {"batch_size": 128, "lr": 1e-3}


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("bits", [32, 16, 8])
def test_a_plan_survives_json(sparsity: float, bits: int) -> None:
    plan = toy_plan(sparsity, bits)
    assert Plan.from_json(plan.to_json()) == plan


def test_a_plan_of_before_reads_ranges_as_it_did() -> None:
    parts = json.loads(toy_plan(0.5, 8).to_json())
    assert parts["quantize"].pop("input_range") == "percentile"
    assert Plan.from_json(json.dumps(parts)).get("quantize").input_range == "extremes"


def test_a_plan_of_before_names_methods_as_they_were_called() -> None:
    parts = json.loads(toy_plan(0.5, 8).to_json())
    named = parts | {
        "width": {"width": 0.5, "epochs": 1} | COMMON,
        "quantize": {"bits": 32, "qat_epochs": 0} | COMMON,
        "differentiable": {"bits": 3, "tuning_epochs": 1} | COMMON,
    }
    plan = Plan.from_json(json.dumps(named))
    named["narrow"], named["points"] = named.pop("width"), named.pop("differentiable")
    assert Plan.from_json(json.dumps(named)) == plan
    assert [stage.part for stage in plan.stages()][1::2] == ["width", "differentiable"]
    assert [stage.key_name for stage in plan.stages()][1::2] == ["narrow", "points"]


def test_neutral_stages_are_left_out() -> None:
    names = [[stage.stage for stage in toy_plan(*point).stages()] for point in [(0, 32), (0.5, 8)]]
    assert names == [["train"], ["train", "prune", "quantize"]]


@pytest.mark.parametrize(
    ("settings", "law"),
    [
        ((WeightPruning, {"sparsity": 1.0, "epochs": 1}), r"`0 <= sparsity < 1`.*sparsity=1\.0"),
        ((WeightPruning, {"sparsity": -0.1, "epochs": 1}), r"`0 <= sparsity < 1`.*=-0\.1"),
        ((WeightPruning, {"sparsity": float("nan"), "epochs": 1}), "`0 <= sparsity < 1`.*nan"),
        ((WeightPruning, {"sparsity": 0.5, "epochs": 0}), "`epochs >= 1`.*epochs=0"),
        (
            (WeightPruning, {"sparsity": 0.5, "epochs": 1, "allocation": "fair"}),
            "`allocation in .*'fair'",
        ),
        (
            (Quantization, {"bits": 7, "qat_epochs": 1}),
            r"`bits in \(32, 16, 8, 6, 5, 4, 3, 2\)`.*bits=7",
        ),
        ((Quantization, {"bits": 8, "qat_epochs": -1}), "`qat_epochs >= 0`.*qat_epochs=-1"),
        ((BaselineTraining, {"epochs": 1, "lr": 0.0}), r"`lr > 0`.*lr=0\.0"),
        ((BaselineTraining, {"epochs": 1, "batch_size": 0}), "`batch_size >= 1`.*batch_size=0"),
    ],
)
def test_a_setting_that_breaks_its_law_is_refused(settings: tuple, law: str) -> None:
    kind, values = settings
    with pytest.raises(BadInputError, match=law):
        kind(**(COMMON | values))


def test_methods_are_known_by_name_before_anything_is_imported() -> None:
    assert method_names() == sorted(METHODS)
    assert list(STAGES)[:5] == ["train", "width", "channels", "factorize", "warm_start"]


def test_a_part_that_is_unknown_is_refused() -> None:
    parts = json.loads(toy_plan(0.5, 8).to_json()) | {"clutser": {}}
    with pytest.raises(BadInputError, match="The plan has a part 'clutser'; known are recipe, tr"):
        Plan.from_json(json.dumps(parts))
