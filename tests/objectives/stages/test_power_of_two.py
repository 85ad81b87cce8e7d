from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from toys import toy_plan

from models.errors import BadInputError
from objectives.artifact.export import export_onnx
from objectives.context import Context
from objectives.network.state import NetworkState
from objectives.score.accuracy import ACCURACY
from objectives.stages.power_of_two import PowerOfTwo
from objectives.training.nearest_power import NearestPower, powers_of_two


def a_power(bits: int, *, epochs: int = 1) -> PowerOfTwo:
    return PowerOfTwo(bits=bits, tuning_epochs=epochs, batch_size=128, lr=1e-3)


def test_the_powers_by_hand() -> None:
    assert powers_of_two(1.0, 2).tolist() == [-1, 0, 1]
    assert powers_of_two(1.49, 2).tolist() == [-1, 0, 1]
    assert powers_of_two(1.5, 2).tolist() == [-2, 0, 2]
    assert powers_of_two(0.8, 3).tolist() == [-1, -0.5, -0.25, 0, 0.25, 0.5, 1]
    assert len(powers_of_two(0.1, 6)) == 63
    assert bool((powers_of_two(0.1, 6).diff() > 0).all())
    assert powers_of_two(0.0, 2).tolist() == [-1, 0, 1]


@pytest.mark.parametrize("bits", [2, 4, 6])
def test_each_weight_is_the_nearest_power(
    bits: int, baseline: NetworkState, context: Context
) -> None:
    state = a_power(bits, epochs=0).apply(baseline, context)
    for layer in state.formats:
        before, after = (each.weights[f"{layer}.weight"] for each in (baseline, state))
        powers = powers_of_two(float(before.abs().max()), bits)
        nearest = (before.flatten()[:, None] - powers).abs().amin(1).view_as(before)
        assert torch.equal((before - after).abs(), nearest)
        mantissas = np.frexp(after[after != 0].abs().numpy())[0]
        assert set(mantissas) == {0.5}
        assert len(after.unique()) <= 2**bits - 1


def test_gradients_pass_straight_through() -> None:
    weight = torch.tensor([0.3, -0.9, 5.0], requires_grad=True)
    NearestPower(powers_of_two(1.0, 2))(weight).backward(torch.tensor([1.0, 2.0, 3.0]))
    assert weight.grad.tolist() == [1, 2, 3]


def test_the_file_holds_codes_and_zeros_stay(baseline: NetworkState, context: Context) -> None:
    pruned = toy_plan(0.9).get("prune").apply(baseline, context)
    state = a_power(4).apply(pruned, context)
    model = onnx.load_from_string(export_onnx(state, context))
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for layer, mask in state.masks.items():
        weight = state.weights[f"{layer}.weight"]
        assert bool((weight[~mask] == 0).all())
        codes = numpy_helper.to_array(tensors[f"{layer}.weight"]).astype(int)
        powers = numpy_helper.to_array(tensors[f"{layer}.weight_codebook"])
        assert tensors[f"{layer}.weight"].data_type == TensorProto.UINT4
        assert powers.shape == (15,)
        assert np.array_equal(powers[codes], weight.numpy())


def test_training_helps_at_two_bits(baseline: NetworkState, context: Context) -> None:
    accuracies = [
        ACCURACY.of_network(
            context.network_of(a_power(2, epochs=epochs).apply(baseline, context)),
            context.data,
            "validation",
        )
        for epochs in (0, 4)
    ]
    assert accuracies[1] > accuracies[0]


@pytest.mark.parametrize("settings", [{"bits": 1}, {"bits": 7}, {"lr": 0.0}])
def test_settings_that_break_their_law_are_refused(settings: dict) -> None:
    with pytest.raises(BadInputError, match="must hold, but got"):
        replace(a_power(4), **settings)
