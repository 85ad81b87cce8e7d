from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, numpy_helper
from toys import FewDigits, toy_context, toy_plan

from models.pixels import to_pixels
from objectives.artifact.export import export_onnx
from objectives.artifact.measure import count_weights, measure_file
from objectives.context import Context
from objectives.network.state import NetworkState
from objectives.training.activations import attach_activations_

POINTS = [(0.0, 32), (0.0, 16), (0.0, 8), (0.9, 32), (0.9, 16), (0.9, 8)]


@pytest.fixture(scope="module")
def states(baseline: NetworkState, digits: FewDigits) -> dict[tuple[float, int], NetworkState]:
    context = toy_context(digits)
    made = {}
    for sparsity, bits in POINTS:
        state = baseline
        for settings in (
            toy_plan(sparsity, bits).get("prune"),
            toy_plan(sparsity, bits).get("quantize"),
        ):
            state = state if settings.is_neutral else settings.apply(state, context)
        made[sparsity, bits] = state
    return made


def run(content: bytes, images: torch.Tensor, *, fused: bool) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    if not fused:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"input": to_pixels(images).numpy()})
    return logits


def stored(content: bytes) -> dict[str, np.ndarray]:
    graph = onnx.load_from_string(content).graph
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


@pytest.mark.parametrize("point", POINTS)
def test_logits_of_the_file_are_those_of_the_network(
    point: tuple[float, int], states: dict, context: Context, digits: FewDigits
) -> None:
    """At 8 bits an input that lies half-way between two integers may be rounded either way."""
    state = states[point]
    network = context.network_of(state)
    attach_activations_(network, context.values(state), state.activations)
    with torch.no_grad():
        expected = network(to_pixels(digits.test.images)).numpy()
    logits = run(export_onnx(state, context), digits.test.images, fused=False)
    differing = np.abs(logits - expected).max(axis=1) > 1e-4
    assert differing.sum() <= (2 if point[1] == 8 else 0)


def test_fused_integer_kernels_stay_near_the_network(
    states: dict, context: Context, digits: FewDigits
) -> None:
    content = export_onnx(states[0.9, 8], context)
    logits, exact = (run(content, digits.test.images, fused=fused) for fused in (True, False))
    assert np.abs(logits - exact).max() < 0.25
    assert (logits.argmax(1) == exact.argmax(1)).mean() > 0.98


def test_zeros_are_exact_in_every_file(states: dict, context: Context) -> None:
    for bits, dtype in ((32, np.float32), (16, np.float16), (8, np.int8)):
        state = states[0.9, bits]
        weights = stored(export_onnx(state, context))
        for layer, mask in state.masks.items():
            weight = weights[f"{layer}.weight"]
            assert weight.dtype == dtype
            assert weight[~mask.numpy()].any() == np.False_
            kept = mask.numel() - round(0.9 * mask.numel())
            # a weight that is kept may still round to 0
            assert kept * (0.9 if bits == 8 else 1) <= np.count_nonzero(weight) <= kept


def test_int8_file_stores_integers_only(states: dict, context: Context) -> None:
    kinds = {
        name: array.dtype for name, array in stored(export_onnx(states[0.0, 8], context)).items()
    }
    assert kinds["conv.weight"] == kinds["dense.weight"] == np.int8
    assert kinds["conv.bias"] == kinds["dense.bias"] == np.int32
    assert all(dtype != np.float32 for name, dtype in kinds.items() if not name.endswith("scale"))


def test_int8_file_runs_on_integer_kernels(states: dict, context: Context, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(
        export_onnx(states[0.9, 8], context), options, providers=["CPUExecutionProvider"]
    )
    kinds = {node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node}
    assert "QLinearConv" in kinds
    assert not kinds & {"Conv", "FusedConv", "Gemm", "MatMul"}


@pytest.mark.parametrize("point", POINTS)
def test_same_state_same_bytes(point: tuple[float, int], states: dict, context: Context) -> None:
    assert export_onnx(states[point], context) == export_onnx(states[point], context)


def test_interface_is_float_pixels_in_and_logits_out_with_a_free_batch(
    states: dict, context: Context
) -> None:
    for state in states.values():
        content = export_onnx(state, context)
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        (taken,), (given,) = session.get_inputs(), session.get_outputs()
        assert (taken.name, taken.type, taken.shape[1:]) == ("input", "tensor(float)", [1, 28, 28])
        assert (given.name, given.type, given.shape[1:]) == ("logits", "tensor(float)", [10])
        for count in (1, 2, 7):
            (logits,) = session.run(None, {"input": np.zeros((count, 1, 28, 28), np.float32)})
            assert logits.shape == (count, 10)


def test_nothing_is_in_the_file_that_no_runtime_reads(states: dict, context: Context) -> None:
    model = onnx.load_from_string(export_onnx(states[0.0, 32], context))
    assert not model.metadata_props
    assert not model.graph.value_info
    assert all(not (node.metadata_props or node.doc_string) for node in model.graph.node)
    assert len(model.SerializeToString()) < 4 * 20_410 + 1000


def test_measured_sparsity_is_counted_in_the_file(
    states: dict, context: Context, digits: FewDigits, tmp_path: Path
) -> None:
    content = export_onnx(states[0.9, 32], context)
    assert count_weights(onnx.load_from_string(content)) == {
        "conv.weight": (108 - 97, 108),
        "dense.weight": (20_280 - 18_252, 20_280),
    }
    (tmp_path / "some.onnx").write_bytes(content)
    measured = measure_file(tmp_path / "some.onnx", digits)
    assert measured.measured_sparsity == pytest.approx((97 + 18_252) / (108 + 20_280))


@pytest.mark.parametrize("bits", [8, 6, 5, 4, 3, 2])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
def test_files_of_any_grid_run_and_answer_as_the_network_does(
    bits: int,
    symmetric: bool,
    per_channel: bool,
    states: dict,
    context: Context,
    digits: FewDigits,
    tmp_path: Path,
) -> None:
    quantize = replace(
        toy_plan(0.9, bits, qat_epochs=0).get("quantize"),
        symmetric=symmetric,
        per_channel=per_channel,
    )
    state = quantize.apply(states[0.9, 32], context)
    network = context.network_of(state)
    attach_activations_(network, context.values(state), state.activations)
    with torch.no_grad():
        expected = network(to_pixels(digits.test.images)).numpy()
    content = export_onnx(state, context)
    logits = run(content, digits.test.images, fused=False)
    assert (np.abs(logits - expected).max(axis=1) > 1e-3).sum() <= 2
    types = {
        tensor.name: tensor.data_type
        for tensor in onnx.load_from_string(content).graph.initializer
    }
    narrowest = {4: TensorProto.INT4, 3: TensorProto.INT4, 2: TensorProto.INT2}
    assert types["dense.weight"] == narrowest.get(bits, TensorProto.INT8)
    (tmp_path / "some.onnx").write_bytes(content)
    measured = measure_file(tmp_path / "some.onnx", digits)
    zeros = sum(int((state.weights[f"{layer}.weight"] == 0).sum()) for layer in state.formats)
    assert measured.measured_sparsity == pytest.approx(zeros / (108 + 20_280))
