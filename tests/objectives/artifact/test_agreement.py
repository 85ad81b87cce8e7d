"""A file that does not answer as its network is found out, and where."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, numpy_helper
from toys import FewDigits, toy_context, toy_plan

from benchmarks.conformance.registry import all_networks, randomize_
from models.registry import ModelSpec
from objectives.artifact.agreement import (
    TOLERANCE,
    check_answers,
    distance,
    largest_difference,
)
from objectives.artifact.export import export_onnx
from objectives.context import Context
from objectives.errors import MeasurementError
from objectives.network import exporter
from objectives.network.state import NetworkState, copy_weights


def test_distance_is_in_standard_deviations_of_what_is_expected() -> None:
    expected = np.array([-2.0, 2.0, -2.0, 2.0])
    assert distance(expected, expected) == 0
    assert distance(expected + 1, expected) == pytest.approx(0.5)
    assert distance(expected[:2], expected) == float("inf")
    assert distance(np.full(4, np.nan), expected) != distance(np.full(4, np.nan), expected)


def a_state(digits: FewDigits, bits: int = 32) -> tuple[NetworkState, Context]:
    """A network of the conformance suite whose batch norms do something."""
    build = all_networks()["subclasses"]
    context = toy_context(digits, model=ModelSpec(build=lambda *_: build(), data="own"))
    torch.manual_seed(0)
    network = context.build_network()
    randomize_(network)
    state = NetworkState(weights=copy_weights(network))
    if bits < 32:
        state = toy_plan(0, bits, qat_epochs=0).get("quantize").apply(state, context)
    return state, context


def change_weight(model: ModelProto) -> None:
    weight = next(each for each in model.graph.initializer if each.name == "second.weight")
    values = numpy_helper.to_array(weight).copy()
    values[3] = -values[3]
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))


def drop_bias(model: ModelProto) -> None:
    node = next(each for each in model.graph.node if each.op_type == "Conv")
    del node.input[2]


def change_scale(model: ModelProto) -> None:
    """Of what is given to the second layer: 20 times as much."""
    scale = next(each for each in model.graph.initializer if each.name == "relu@scale")
    values = 20 * numpy_helper.to_array(scale)
    scale.CopyFrom(numpy_helper.from_array(values.astype(np.float32), scale.name))


def fix_batch(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4


@pytest.mark.parametrize(
    ("bits", "spoil", "told"),
    [
        (32, change_weight, "what layer 'head' is given differs by"),
        (32, drop_bias, "what layer 'second' is given differs by"),
        (8, change_weight, "value 'relu_1' differs by"),
        (8, change_scale, "value 'relu_1' differs by"),
        (4, drop_bias, "what layer 'second' is given differs by"),
        (32, fix_batch, "ONNX Runtime cannot run the file"),
    ],
)
def test_a_spoilt_file_is_refused_with_the_place(
    bits: int, spoil: Callable[[ModelProto], None], told: str, digits: FewDigits
) -> None:
    state, context = a_state(digits, bits)
    model = onnx.load_from_string(export_onnx(state, context))
    spoil(model)
    with pytest.raises(MeasurementError, match=told):
        check_answers(model.SerializeToString(), state, context)


def test_nothing_but_the_order_of_sums_differs(digits: FewDigits) -> None:
    for bits in (32, 16, 8, 4):
        state, context = a_state(digits, bits)
        content = export_onnx(state, context)
        assert 0 < largest_difference(content, state, context).distance < 1e-5


def test_a_network_that_answers_nan_has_no_file(digits: FewDigits) -> None:
    state, context = a_state(digits)
    weights = state.weights | {"head.bias": state.weights["head.bias"] * float("nan")}
    with pytest.raises(MeasurementError, match="answers are not all finite"):
        export_onnx(replace(state, weights=weights), context)


def test_a_graph_of_another_network_is_made_anew(
    digits: FewDigits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a factory makes something else the next time, which no name or shape tells."""
    state, context = a_state(digits)
    right = export_onnx(state, context)
    (key,) = [each for each in exporter._KEPT if each[0] is context.model.build]
    stale = exporter._KEPT[key].model()
    next(each for each in stale.graph.node if each.op_type == "Relu").op_type = "Tanh"
    monkeypatch.setitem(
        exporter._KEPT, key, replace(exporter._KEPT[key], content=stale.SerializeToString())
    )
    assert export_onnx(state, context) == right


def test_equal_answers_may_differ_by_the_order_of_sums() -> None:
    bias = np.full((4, 1), 1.5, np.float32)
    assert distance(np.nextafter(bias, 2), bias) < TOLERANCE / 10
    assert distance(bias * 1.0001, bias) > TOLERANCE
