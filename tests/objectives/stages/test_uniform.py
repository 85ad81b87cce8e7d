import math
from dataclasses import replace

import onnx
import pytest
import torch
from onnx import TensorProto

from models.errors import BadInputError
from objectives.artifact.export import export_onnx
from objectives.context import Context
from objectives.network.state import NetworkState
from objectives.stages.prune import WeightPruning
from objectives.stages.uniform import UniformSteps
from objectives.training.evaluate import network_worth
from objectives.training.rate import RateModel
from objectives.training.steps import chosen_steps, curvatures, shortened


def uniform(*, epochs: int = 0, **settings: float) -> UniformSteps:
    common = {"tuning_epochs": epochs, "batch_size": 128, "lr": 1e-3}
    return UniformSteps(**(common | settings))


@pytest.fixture
def trained(context: Context, baseline: NetworkState) -> tuple[Context, NetworkState]:
    return context, baseline


def integers_of(state: NetworkState, layer: str) -> torch.Tensor:
    scale = state.formats[layer].weight_scale
    assert scale is not None
    return (state.weights[f"{layer}.weight"].flatten(1) / scale[:, None]).round()


def bits_of(state: NetworkState) -> float:
    found = [integers_of(state, layer) for layer in state.formats]
    return sum(RateModel.of(each).bits(each) for each in found)


def test_steps_are_equally_dear_in_all_layers(trained: tuple[Context, NetworkState]) -> None:
    context, state = trained
    network = context.network_of(state)
    layers = context.layers_of(network)
    dear, _ = curvatures(network, layers, context.data.training_inputs(256))
    steps = chosen_steps(layers, dear, noise=0.2)
    costs = [float(dear[name].mean() * steps[name] ** 2) for name in layers]
    assert costs == pytest.approx([costs[0]] * len(costs))
    total = sum(each.numel() for each in dear.values())
    assert (total * costs[0] / 12) ** 0.5 == pytest.approx(0.2)


def test_more_noise_takes_fewer_bits(trained: tuple[Context, NetworkState]) -> None:
    context, state = trained
    found = [uniform(noise=noise).apply(state, context) for noise in (0.02, 0.1, 0.5)]
    bits = [bits_of(each) for each in found]
    assert bits[0] > 1.3 * bits[1] > 1.6 * bits[2]


def test_little_noise_loses_nothing(trained: tuple[Context, NetworkState]) -> None:
    context, state = trained
    before = network_worth(context.network_of(state), context, "validation")
    rounded = uniform(noise=0.05).apply(state, context)
    after = network_worth(context.network_of(rounded), context, "validation")
    assert after > before - 1.0


def test_weights_and_biases_lie_on_their_grids_and_are_int8_in_the_file(
    trained: tuple[Context, NetworkState],
) -> None:
    context, state = trained
    rounded = uniform(epochs=1, rate=0.05).apply(state, context)
    for layer, stored in rounded.formats.items():
        assert stored.weight_scale is not None
        assert stored.bias_scale is not None
        assert len(stored.weight_scale.unique()) == 1
        weight, bias = (rounded.weights[f"{layer}.{part}"] for part in ("weight", "bias"))
        for values, step in ((weight, stored.weight_scale[0]), (bias, stored.bias_scale)):
            assert torch.allclose(values, (values / step).round() * step, atol=1e-6)
            assert float((values / step).abs().max()) < 127.5
        assert torch.equal(rounded.masks[layer], weight != 0)
    model = onnx.load_from_string(export_onnx(rounded, context))
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    for layer in rounded.formats:
        assert types[f"{layer}.weight"] == types[f"{layer}.bias"] == TensorProto.INT8


def test_training_that_pays_for_bits_takes_fewer(trained: tuple[Context, NetworkState]) -> None:
    context, state = trained
    free, paid = (
        uniform(epochs=8, lr=5e-3, rate=rate).apply(state, context) for rate in (0.0, 3.0)
    )
    assert bits_of(paid) < 0.7 * bits_of(free)


@pytest.mark.parametrize("epochs", [0, 1])
def test_what_was_pruned_stays_zero(trained: tuple[Context, NetworkState], epochs: int) -> None:
    context, state = trained
    settings = {"epochs": 1, "batch_size": 128, "lr": 1e-3}
    pruned = WeightPruning(sparsity=0.8, **settings).apply(state, context)
    rounded = uniform(epochs=epochs, noise=0.02).apply(pruned, context)
    for layer, mask in pruned.masks.items():
        assert not rounded.weights[f"{layer}.weight"][~mask].any()
        assert rounded.weights[f"{layer}.weight"].any()


@pytest.mark.parametrize("step", [1.0, 0.1, 3e-9, 123456.0])
def test_a_shortened_step_has_eight_bits_and_is_near(step: float) -> None:
    short = shortened(step)
    assert short == pytest.approx(step, rel=2**-8)
    assert (short / 2 ** (math.frexp(short)[1] - 8)).is_integer()


def test_a_layer_of_zeros_is_left_so(trained: tuple[Context, NetworkState]) -> None:
    context, state = trained
    name = next(name for name in state.weights if name.endswith("weight"))
    empty = replace(state, weights=state.weights | {name: torch.zeros_like(state.weights[name])})
    rounded = uniform().apply(empty, context)
    assert not rounded.weights[name].any()
    assert all(bool(each.isfinite().all()) for each in rounded.weights.values())


def test_the_same_twice(trained: tuple[Context, NetworkState]) -> None:
    context, state = trained
    first, second = (export_onnx(uniform().apply(state, context), context) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("settings", "law"),
    [({"noise": 0.0}, "noise > 0"), ({"rate": -1.0}, "rate >= 0"), ({"lr": 0.0}, "lr > 0")],
)
def test_bad_settings_are_refused(settings: dict, law: str) -> None:
    with pytest.raises(BadInputError, match=law):
        uniform(**settings)
