"""The space of each layer's own density and bits."""

import json
from pathlib import Path

import onnx
import optuna
import pytest
from onnx import numpy_helper

from objectives.training.sensitivity import Sensitivity
from search import run
from search.sampling.layerwise import FIRST_CHANGES_PCT, MOST_GROUPS, LayerwiseSpace, layer_groups
from search.settings.config import StudyConfig
from search.storage.study import load_study

SETTINGS = {"model": "cnn", "data": "mnist", "epochs": 1, "qat_epochs": 1, "batch_size": 1}
CONFIG = StudyConfig(**SETTINGS, lr=0.1, space="layerwise")

RESIDUAL = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x):
        return torch.relu(x + self.depthwise(torch.relu(self.norm(self.conv(x)))))

def model(input_shape, num_classes):
    blocks = [Block(6) for _ in range(5)]
    stem = nn.Conv2d(input_shape[0], 6, 3, stride=3)
    return nn.Sequential(stem, *blocks, nn.AdaptiveAvgPool2d(2), nn.Flatten(),
                         nn.Linear(24, num_classes))
"""


def test_few_layers_are_groups_of_their_own() -> None:
    assert layer_groups(["conv", "dense"]) == {"conv": ["conv"], "dense": ["dense"]}
    layers = [f"l{i}" for i in range(MOST_GROUPS)]
    assert list(layer_groups(layers)) == layers


@pytest.mark.parametrize("count", [MOST_GROUPS + 1, 21, 161])
def test_many_layers_are_runs_of_neighbours_and_the_ends_stay_alone(count: int) -> None:
    layers = [f"l{i}" for i in range(count)]
    groups = layer_groups(layers)
    assert len(groups) == MOST_GROUPS
    assert [layer for group in groups.values() for layer in group] == layers
    assert groups["l0"] == ["l0"]
    assert groups[layers[-1]] == [layers[-1]]
    inner = [len(group) for group in groups.values()][1:-1]
    assert max(inner) - min(inner) <= 1
    assert f"l1..l{inner[0]}" in groups or inner[0] == 1


def test_a_plan_holds_each_layers_own_and_the_share_over_all() -> None:
    space = LayerwiseSpace(CONFIG, {"conv": 100, "dense": 300})
    params = {"prune.density.conv": 0.5, "prune.density.dense": 0.1}
    params |= {"quantize.bits.conv": 8, "quantize.bits.dense": 4}
    plan = space.suggest(optuna.trial.FixedTrial(params))
    assert plan.get("prune").layers == {"conv": 0.5, "dense": 0.9}
    assert plan.get("prune").sparsity == pytest.approx(1 - 80 / 400)
    assert plan.get("quantize").layers == {"conv": 8, "dense": 4}
    kept = plan.get("prune").kept_weights({"conv": 100, "dense": 300})
    assert plan.get("quantize").mean_bits(kept) == pytest.approx((50 * 8 + 30 * 4) / 80)


def test_first_trials_go_as_far_as_the_most_sensitive_layer_of_a_group() -> None:
    layers = [f"l{i}" for i in range(10)]  # l1 and l2 are one group
    space = LayerwiseSpace(CONFIG, dict.fromkeys(layers, 1))
    density = {layer: {0.5: 0.0, 0.1: 2.0, 0.01: 50.0} for layer in layers}
    density["l2"] = {0.5: 5.0, 0.1: 0.5, 0.01: 50.0}  # what lies behind a bad value is luck
    bits = {layer: {8: 0.0, 4: 20.0, 2: 90.0} for layer in layers}
    trials = space.first_trials(Sensitivity(density, bits))
    assert FIRST_CHANGES_PCT == (1.0, 3.0, 10.0, 30.0)
    assert [trial["prune.density.l0"] for trial in trials] == [0.5, 0.1, 0.1, 0.1]
    assert [trial["prune.density.l1..l2"] for trial in trials] == [1.0, 1.0, 0.1, 0.1]
    assert [trial["quantize.bits.l0"] for trial in trials] == [8, 8, 8, 4]


def test_a_layerwise_search_of_a_residual_network(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(RESIDUAL)
    command = ["--model", f"{tmp_path / 'net.py'}:model", "--data", "mnist5k"]
    command += ["--space", "layerwise", "--objective", "pareto", "--trials", "6"]
    command += ["--epochs", "1", "--qat-epochs", "1", "--studies-dir", str(tmp_path)]
    assert run.main([*command, "--study", "s", "--train-fraction", "0.2"]) == 0
    study = load_study("s", f"sqlite:///{tmp_path / 's.db'}")
    assert len(study.trials) == 6
    sensitivity = json.loads(study.user_attrs["sensitivity"])
    assert len(sensitivity["density"]) == len(sensitivity["bits"]) == 12
    for trial in study.trials:
        assert len(trial.params) == 2 * MOST_GROUPS
        measured = trial.user_attrs["measured_sparsity"]
        plan = json.loads(trial.user_attrs["plan"])
        assert measured >= plan["prune"]["sparsity"] - 0.02  # rounding to integers zeroes more
    fixed = ["fixed_params" in trial.system_attrs for trial in study.trials]
    assert fixed[0]
    assert fixed == sorted(fixed, reverse=True)  # the seeded ones are first


def test_the_file_of_a_layerwise_trial_stores_each_layer_in_its_own_bits(tmp_path: Path) -> None:
    plan = StudyConfig(**SETTINGS, lr=0.001).plan()
    space = LayerwiseSpace(
        StudyConfig(**(SETTINGS | {"batch_size": 128}), lr=0.001, space="layerwise"),
        {"conv": 108, "dense": 20_280},
    )
    params = {"prune.density.conv": 1.0, "prune.density.dense": 0.05}
    params |= {"quantize.bits.conv": 16, "quantize.bits.dense": 4}
    plan = space.suggest(optuna.trial.FixedTrial(params))
    command = ["--model", "cnn", "--data", "mnist5k", "--study", "s"]
    assert run.main([*command, "--plan", plan.to_json(), "--studies-dir", str(tmp_path)]) == 0
    model = onnx.load(tmp_path / "s" / "artifacts" / "trial-0000.onnx")
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    kinds = {tensor.data_type for tensor in stored.values()}
    assert {onnx.TensorProto.FLOAT16, onnx.TensorProto.INT4} <= kinds
    dense = next(t for t in stored.values() if t.data_type == onnx.TensorProto.INT4)
    values = numpy_helper.to_array(dense)
    assert values.size == 20_280
    assert int((values != 0).sum()) <= round(0.05 * 20_280)


def test_a_baseline_that_diverges_ends_the_search_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--model", "cnn", "--data", "mnist5k", "--space", "layerwise", "--trials", "1"]
    command += ["--epochs", "1", "--lr", "1e25", "--studies-dir", str(tmp_path)]
    assert run.main(command) == 1
    err = capsys.readouterr().err
    assert err.startswith("The training loss of stage 'train' became")
    assert err.count("\n") == 1
