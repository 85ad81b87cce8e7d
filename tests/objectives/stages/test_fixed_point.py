import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from toys import toy_plan

from models.errors import BadInputError
from objectives.artifact.export import export_onnx
from objectives.artifact.measure import count_weights, measure_file
from objectives.context import Context
from objectives.network.state import NetworkState
from objectives.score.accuracy import ACCURACY
from objectives.stages.fixed_point import FixedPoint, covering_scale, weight_scale
from objectives.training.activations import attach_activations_
from objectives.training.fake_quantize import WeightGrid


def a_fixed_point(bits: int, input_bits: int, *, epochs: int = 1) -> FixedPoint:
    common = {"tuning_epochs": epochs, "batch_size": 128, "lr": 1e-3}
    return FixedPoint(bits=bits, input_bits=input_bits, **common)


def test_the_covering_scale_by_hand() -> None:
    assert covering_scale(127.0, 127) == 1
    assert covering_scale(128.0, 127) == 2
    assert covering_scale(1.0, 127) == 2**-6  # 64 steps; at 2^-7 it would be 128
    assert covering_scale(1.0, 7) == 2**-2
    assert covering_scale(0.0, 7) == 1


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_weights_are_those_of_torch_at_the_best_power_of_two(
    bits: int, baseline: NetworkState, context: Context
) -> None:
    state = a_fixed_point(bits, 32, epochs=0).apply(baseline, context)
    high = 2 ** (bits - 1) - 1
    for layer, stored in state.formats.items():
        before = baseline.weights[f"{layer}.weight"]
        scale = float(stored.weight_scale[0])
        assert bool((stored.weight_scale == scale).all())
        errors = {}
        for exponent in range(-24, 4):
            rounded = torch.fake_quantize_per_tensor_affine(before, 2.0**exponent, 0, -high, high)
            errors[2.0**exponent] = float((rounded - before).double().square().sum())
        assert scale == min(errors, key=errors.__getitem__)
        reference = torch.fake_quantize_per_tensor_affine(before, scale, 0, -high, high)
        assert torch.equal(state.weights[f"{layer}.weight"], reference + 0)


def test_four_bits_of_four_weights_by_hand() -> None:
    """At 2^-3 0.9 is the largest, 7 steps; at 2^-4 it would be clamped to 0.4375."""
    weight = torch.tensor([0.9, 0.26, -0.13, 0.01])
    grid = WeightGrid(4, symmetric=True, per_channel=False)
    assert weight_scale(weight, grid) == 2**-3
    assert weight_scale(torch.tensor([1.0] + [0.06] * 900), grid) == 2**-4  # clamped: worth it


@pytest.mark.parametrize(("input_bits", "low", "high"), [(8, -128, 127), (4, -8, 7)])
def test_inputs_are_those_of_torch(
    input_bits: int, low: int, high: int, baseline: NetworkState, context: Context
) -> None:
    state = a_fixed_point(8, input_bits, epochs=0).apply(baseline, context)
    network = context.network_of(state)
    stored = state.formats["conv"]
    largest = float(context.data.training_inputs(1024).max())
    assert float(stored.input_scale) == 2.0 ** math.ceil(math.log2(largest / high))
    attach_activations_(network, context.values(state), state.activations)
    seen: list[torch.Tensor] = []
    network.conv.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    pixels = context.data.training_inputs(8) * 3 - 1  # beyond what was calibrated
    network(pixels)
    scale = float(stored.input_scale)
    reference = torch.fake_quantize_per_tensor_affine(pixels, scale, 0, low, high)
    assert torch.equal(seen[0], reference)


@pytest.mark.parametrize(
    ("bits", "input_bits", "weight_type", "input_type"),
    [
        (32, 32, TensorProto.INT32, None),
        (16, 16, TensorProto.INT16, TensorProto.INT16),
        (8, 8, TensorProto.INT8, TensorProto.INT8),
        (4, 4, TensorProto.INT4, TensorProto.INT8),
        (4, 16, TensorProto.INT4, TensorProto.INT16),
        (16, 4, TensorProto.INT16, TensorProto.INT8),
    ],
)
def test_the_file_holds_integers_and_powers_of_two(
    bits: int,
    input_bits: int,
    weight_type: int,
    input_type: int | None,
    baseline: NetworkState,
    context: Context,
    tmp_path: Path,
) -> None:
    pruned = toy_plan(0.9).get("prune").apply(baseline, context)
    state = a_fixed_point(bits, input_bits).apply(pruned, context)
    content = export_onnx(state, context)
    model = onnx.load_from_string(content)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    assert tensors["dense.weight"].data_type == weight_type
    scales = [name for name in tensors if name.endswith("scale")]
    assert len(scales) == (2 if input_type is None else 6)
    for name in scales:
        assert float(np.log2(numpy_helper.to_array(tensors[name]))).is_integer()
    if input_type is not None:
        assert tensors["view@zero"].data_type == input_type
        assert tensors["dense.bias"].data_type == TensorProto.INT32
    counts = count_weights(model)
    for layer, mask in state.masks.items():
        weight = state.weights[f"{layer}.weight"]
        assert bool((weight[~mask] == 0).all())
        assert counts[f"{layer}.weight"] == (int((weight != 0).sum()), mask.numel())
    file = tmp_path / "a.onnx"
    file.write_bytes(content)
    network = context.network_of(state)  # as a user runs the file, graph fusions on
    attach_activations_(network, context.values(state), state.activations)
    expected = ACCURACY.of_network(network, context.data, "test")
    assert measure_file(file, context.data).test_score == pytest.approx(expected, abs=1.5)


def test_thirty_two_bits_change_no_large_weight(baseline: NetworkState, context: Context) -> None:
    """A float32 has 24 bits, so 32 lose some of the small weights' only."""
    state = a_fixed_point(32, 32).apply(baseline, context)
    for layer in state.formats:
        before, after = (each.weights[f"{layer}.weight"] for each in (baseline, state))
        assert torch.equal(before[before.abs() > 2**-5], after[before.abs() > 2**-5])
        assert torch.allclose(before, after, rtol=0, atol=2**-30)


def test_a_large_bias_fits_32_bits(baseline: NetworkState, context: Context) -> None:
    weights = baseline.weights | {"dense.bias": torch.full((10,), 300.0)}
    state = a_fixed_point(16, 16).apply(replace(baseline, weights=weights), context)
    stored = state.formats["dense"]
    steps = 300 / float(stored.weight_scale[0] * stored.input_scale)
    assert 2**28 < steps <= 2**30
    assert bool((state.weights["dense.bias"] == 300).all())


def test_training_helps_at_four_bits(baseline: NetworkState, context: Context) -> None:
    accuracies = []
    for epochs in (0, 4):
        state = a_fixed_point(4, 4, epochs=epochs).apply(baseline, context)
        network = context.network_of(state)
        attach_activations_(network, context.values(state), state.activations)
        accuracies.append(ACCURACY.of_network(network, context.data, "validation"))
    assert accuracies[1] > accuracies[0]


def test_only_coarse_numbers_are_trained() -> None:
    epochs = {
        widths: a_fixed_point(*widths, epochs=3).epochs for widths in [(16, 32), (16, 8), (4, 32)]
    }
    assert epochs == {(16, 32): 0, (16, 8): 3, (4, 32): 3}


@pytest.mark.parametrize("settings", [{"bits": 6}, {"input_bits": 2}, {"tuning_epochs": -1}])
def test_settings_that_break_their_law_are_refused(settings: dict) -> None:
    with pytest.raises(BadInputError, match="must hold, but got"):
        replace(a_fixed_point(8, 8), **settings)
