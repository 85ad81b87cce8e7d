import math
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from toys import toy_plan

from models.errors import BadInputError
from objectives.artifact.export import export_onnx
from objectives.artifact.measure import count_weights
from objectives.artifact.sizes import gzip_bytes
from objectives.context import Context
from objectives.network.state import NetworkState
from objectives.score.accuracy import ACCURACY
from objectives.stages.binary import BinaryWeights
from objectives.training.binary_weight import BinaryWeight


def a_binary(*, epochs: int = 1, **settings: object) -> BinaryWeights:
    return BinaryWeights(tuning_epochs=epochs, batch_size=128, lr=1e-3, **settings)


def test_two_channels_by_hand() -> None:
    """The last weight of the second channel is pruned."""
    weight = torch.tensor([[0.5, -1.5, 0.0, -2.0], [3.0, -1.0, 2.0, 7.0]])
    mask = torch.tensor([[True] * 4, [True] * 3 + [False]])
    each = BinaryWeight(mask, each_channel=True)
    assert each(weight).tolist() == [[1, -1, 1, -1], [2, -2, 2, 0]]
    together = BinaryWeight(mask, each_channel=False)
    assert float(together.scale(weight)[0]) == pytest.approx(10 / 7)
    nothing = BinaryWeight(torch.zeros(2, 4, dtype=torch.bool), each_channel=True)
    assert nothing(weight).tolist() == [[0] * 4] * 2


def test_no_other_scale_is_closer_to_the_weights(baseline: NetworkState, context: Context) -> None:
    """The least squares solution for the signs, channel by channel."""
    state = a_binary(epochs=0).apply(baseline, context)
    before, after = (each.weights["dense.weight"] for each in (baseline, state))
    for row, binary in zip(before, after, strict=True):
        signs = torch.where(row >= 0, 1.0, -1.0)
        scale = torch.linalg.lstsq(signs[:, None], row[:, None]).solution
        assert torch.allclose(binary, scale[0] * signs, atol=1e-6)


def test_the_gradient_by_hand() -> None:
    """a = 1; the gradient of a is 1 + 2 + 4 = 7 for signs of 1, and 2.5 has no other part."""
    weight = torch.tensor([[0.2, 0.3, 2.5]], requires_grad=True)
    binary = BinaryWeight(torch.ones(1, 3, dtype=torch.bool), each_channel=True)
    binary(weight).backward(torch.tensor([[1.0, 2.0, 4.0]]))
    assert weight.grad.tolist()[0] == pytest.approx([7 / 3 + 1, 7 / 3 + 2, 7 / 3])


@pytest.mark.parametrize("per_channel", [True, False])
def test_the_file_holds_signs_and_zeros_stay(
    per_channel: bool, baseline: NetworkState, context: Context
) -> None:
    pruned = toy_plan(0.5).get("prune").apply(baseline, context)
    state = a_binary(per_channel=per_channel).apply(pruned, context)
    model = onnx.load_from_string(export_onnx(state, context))
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    counts = count_weights(model)
    for layer, mask in state.masks.items():
        weight = state.weights[f"{layer}.weight"]
        assert torch.equal(weight != 0, mask)
        integers = numpy_helper.to_array(tensors[f"{layer}.weight"]).astype(int)
        scales = numpy_helper.to_array(tensors[f"{layer}.weight_scale"])
        assert tensors[f"{layer}.weight"].data_type == TensorProto.INT2
        assert set(np.unique(integers)) == {-1, 0, 1}
        assert scales.size == (len(weight) if per_channel else 1)
        shape = (-1, *[1] * (weight.dim() - 1))
        assert np.array_equal(integers * scales.reshape(shape), weight.numpy())
        assert counts[f"{layer}.weight"] == (int(mask.sum()), mask.numel())
        assert state.formats[layer].bits_per_weight(has_zeros=True) == math.log2(3)
        assert state.formats[layer].bits_per_weight(has_zeros=False) == 1


def test_a_binary_file_takes_about_a_bit_for_a_weight(
    baseline: NetworkState, context: Context
) -> None:
    sizes = [
        gzip_bytes(export_onnx(state, context))
        for state in (baseline, a_binary().apply(baseline, context))
    ]
    assert sizes[1] < sizes[0] / 15


@pytest.mark.parametrize(
    ("keep", "layers", "binary"),
    [
        ("none", "abc", "abc"),
        ("first", "abc", "bc"),
        ("last", "abc", "ab"),
        ("both", "abc", "b"),
        ("both", "ab", "a"),
        ("both", "a", "a"),
        ("first", "a", "a"),
    ],
)
def test_ends_are_kept_but_one_layer_is_binary(keep: str, layers: str, binary: str) -> None:
    assert a_binary(keep=keep).binary_layers(layers) == list(binary)


def test_kept_layers_stay_floats(baseline: NetworkState, context: Context) -> None:
    state = a_binary(keep="last").apply(baseline, context)
    assert list(state.formats) == ["conv"]
    assert len(state.weights["dense.weight"].unique()) > 1000
    model = onnx.load_from_string(export_onnx(state, context))
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert types["conv.weight"] == TensorProto.INT2
    assert types["dense.weight"] == TensorProto.FLOAT


def test_training_helps(baseline: NetworkState, context: Context) -> None:
    accuracies = [
        ACCURACY.of_network(
            context.network_of(a_binary(epochs=epochs).apply(baseline, context)),
            context.data,
            "validation",
        )
        for epochs in (0, 4)
    ]
    assert accuracies[1] > accuracies[0]


@pytest.mark.parametrize("settings", [{"keep": "all"}, {"batch_size": 0}])
def test_settings_that_break_their_law_are_refused(settings: dict) -> None:
    with pytest.raises(BadInputError, match="must hold, but got"):
        replace(a_binary(), **settings)
