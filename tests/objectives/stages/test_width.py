from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from toys import FewDigits, toy_context, toy_plan

from models.errors import BadInputError
from models.registry import MODELS
from objectives.cache.stage_cache import StageCache
from objectives.network.state import NetworkState
from objectives.pipeline import Pipeline
from objectives.stages.width import WidthMultiplier, narrow_network
from search import run


def a_training(width: float = 0.5, *, epochs: int = 1) -> WidthMultiplier:
    return WidthMultiplier(width=width, epochs=epochs, batch_size=128, lr=1e-3)


@pytest.mark.parametrize(
    ("model", "width", "channels"),
    [
        ("cnn", 0.5, [6, 10]),
        ("cnn", 0.1, [1, 10]),
        ("lenet300", 0.2, [60, 20, 10]),
        ("lenet5", 0.3, [6, 15, 150, 10]),
    ],
)
def test_the_built_in_models_have_the_share_of_each_layers_channels(
    model: str, width: float, channels: list[int], digits: FewDigits
) -> None:
    network = narrow_network(toy_context(digits, model=MODELS.get(model)), width)
    layers = [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    assert [len(layer.weight) for layer in layers] == channels


def test_its_layers_begin_as_new_ones_of_that_size_do(digits: FewDigits) -> None:
    context = toy_context(digits, model=MODELS.get("lenet300"))
    torch.manual_seed(0)
    weight = narrow_network(context, 0.1)[3].weight.detach()
    assert weight.shape == (10, 30)
    limit = 30**-0.5  # of torch's uniform initialization, for 30 inputs and not 300
    assert 0.9 * limit < float(weight.abs().max()) < limit


def test_nothing_of_the_trained_baseline_is_kept(
    baseline: NetworkState, digits: FewDigits
) -> None:
    context = toy_context(digits)
    other = NetworkState(weights={name: 0 * w for name, w in baseline.weights.items()})
    first, second = (a_training().apply(state, context) for state in (baseline, other))
    assert all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)


def test_it_is_compared_with_the_baseline_of_full_width(digits: FewDigits, tmp_path: Path) -> None:
    pipeline = Pipeline(
        toy_context(digits), StageCache(tmp_path / "cache"), tmp_path / "baseline.onnx"
    )
    plan = toy_plan(0.5, 16, epochs=2).with_stages(a_training(0.25, epochs=2))
    result = pipeline.run(plan, tmp_path / "a.onnx")
    full, narrow = 12 * 9 + 10 * 2028, 3 * 9 + 10 * 507
    stored = result.baseline.measurement.nonzero_weights
    assert sum(count for _, count in stored.values()) == full
    stored = result.measurement.nonzero_weights
    assert sum(count for _, count in stored.values()) == narrow
    assert result.sparsity == pytest.approx(1 - narrow / 2 / full, abs=1 / full)
    assert result.reduction_factor > 4 * 2
    state = pipeline.baseline_state(plan)
    assert state.weights["conv.weight"].shape == (12, 1, 3, 3)
    pixels = digits.training_inputs(64)
    session = onnxruntime.InferenceSession(
        (tmp_path / "a.onnx").read_bytes(), providers=["CPUExecutionProvider"]
    )
    (logits,) = session.run(None, {"input": pixels.numpy()})
    state = plan.get("width").apply(state, pipeline.context)
    state = plan.get("quantize").apply(
        plan.get("prune").apply(state, pipeline.context), pipeline.context
    )
    with torch.no_grad():
        expected = pipeline.context.network_of(state)(pixels).numpy()
    assert np.abs(logits - expected).max() < 1e-4


def test_a_model_that_cannot_be_narrowed_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "from torch import nn\n\ndef make():\n"
    code += "    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))\n"
    (tmp_path / "one_layer.py").write_text(code)
    arguments = ["--model", f"{tmp_path / 'one_layer.py'}:make", "--data", "mnist5k"]
    arguments += ["--methods", "width,quantize", "--trials", "1", "--studies-dir", str(tmp_path)]
    assert run.main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith(
        "Channels of this network cannot be removed (leave out `channels`, `width`): all are"
    )
    assert err.count("\n") == 1


def test_full_width_is_neutral() -> None:
    assert a_training(1.0).is_neutral
    assert not a_training(0.5).is_neutral


@pytest.mark.parametrize("settings", [{"width": 0.0}, {"width": 1.1}, {"epochs": 0}])
def test_settings_that_break_their_law_are_refused(settings: dict) -> None:
    with pytest.raises(BadInputError, match="must hold, but got"):
        replace(a_training(), **settings)
