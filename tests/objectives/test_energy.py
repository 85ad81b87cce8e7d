"""Picojoules worked out by hand from Horowitz's table."""

import math

import numpy as np
import onnx
import pytest
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from toys import toy_plan

from objectives.context import Context
from objectives.energy import estimate_energy_uj, integer_multiply_pj
from objectives.stages.export import export_onnx
from objectives.state import NetworkState


def a_model(
    nodes: list[NodeProto],
    tensors: dict[str, np.ndarray],
    shapes: tuple[list, list],
    kinds: tuple[int, int] = (TensorProto.FLOAT, TensorProto.FLOAT),
) -> ModelProto:
    ends = [
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in zip(("x", "y"), kinds, shapes, strict=True)
    ]
    stored = [numpy_helper.from_array(values, name) for name, values in tensors.items()]
    graph: GraphProto = helper.make_graph(nodes, "g", ends[:1], ends[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def picojoules(model: ModelProto) -> float:
    energy = estimate_energy_uj(model)
    assert energy is not None
    return 1e6 * energy


def test_a_dense_layer_of_floats() -> None:
    tensors = {"w": np.ones((3, 4), np.float32), "b": np.ones(3, np.float32)}
    gemm = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)
    model = a_model([gemm], tensors, (["N", 4], ["N", 3]))
    # 12 products that each read two numbers, 3 written, 15 from DRAM
    assert picojoules(model) == pytest.approx(12 * (3.7 + 0.9 + 2 * 5) + 3 * 5 + 15 * 640)


def test_a_convolution_of_half_floats() -> None:
    tensors = {"w": np.ones((6, 2, 3, 3), np.float16)}
    convolution = helper.make_node("Conv", ["x", "w"], ["y"], group=2, strides=[2, 2])
    kinds = (TensorProto.FLOAT16, TensorProto.FLOAT16)
    model = a_model([convolution], tensors, (["N", 4, 9, 9], ["N", 6, 4, 4]), kinds)
    outputs, products = 6 * 4 * 4, 2 * 3 * 3
    each = 1.1 + 0.4 + 5 * (16 + 16) / 32
    assert picojoules(model) == pytest.approx(
        outputs * (products * each + 5) + 6 * products * 16 / 32 * 640
    )


def test_integers_are_multiplied_as_such_and_codes_are_looked_up() -> None:
    """The weight is 4 bits, the input 8; then a layer of 8-bit codes, of two float32 each."""
    int4 = helper.tensor_dtype_to_np_dtype(TensorProto.INT4)
    one, zero = np.float32(1), np.uint8(0)
    tensors = {"xs": np.asarray(one), "xz": np.asarray(zero), "ws": np.asarray(one)}
    tensors |= {"w": np.ones((4, 5), int4), "wz": np.zeros((), int4)}
    tensors |= {"c": np.zeros((5, 3), np.uint8), "c_codebook": np.ones((7, 2), np.float32)}
    tensors["shape"] = np.array([5, 6])
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xf"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wf"]),
        helper.make_node("MatMul", ["xf", "wf"], ["h"]),
        helper.make_node("Cast", ["c"], ["ci"], to=TensorProto.INT32),
        helper.make_node("Gather", ["c_codebook", "ci"], ["blocks"]),
        helper.make_node("Reshape", ["blocks", "shape"], ["v"]),
        helper.make_node("MatMul", ["h", "v"], ["y"]),
    ]
    model = a_model(nodes, tensors, (["N", 4], ["N", 6]))
    integers = 20 * (integer_multiply_pj(4, 8) + 0.1 + 5 * (4 + 8) / 32) + 5 * 5
    floats = 30 * (3.7 + 0.9 + 5 * (8 / 2 + 32 + 32) / 32) + 6 * 5
    bits = 20 * 4 + 4 + 8 + 2 * 32 + 15 * 8 + 14 * 32  # weights, zero points, scales, codes, book
    assert picojoules(model) == pytest.approx(integers + floats + bits / 32 * 640)


def test_of_an_embedding_only_the_rows_asked_for_are_read() -> None:
    tensors = {"table": np.ones((1000, 8), np.float32)}
    gather = helper.make_node("Gather", ["table", "x"], ["y"])
    kinds = (TensorProto.INT64, TensorProto.FLOAT)
    model = a_model([gather], tensors, (["N", 5], ["N", 5, 8]), kinds)
    assert picojoules(model) == pytest.approx(5 * 8 * 640)


def test_products_of_two_inputs_count() -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["x", "t"], ["y"]),
    ]
    model = a_model(nodes, {}, (["N", 6, 4], ["N", 6, 6]))
    assert picojoules(model) == pytest.approx(36 * (4 * (4.6 + 10) + 5))


def test_unknown_shapes_give_no_number() -> None:
    nodes = [
        helper.make_node("NonZero", ["x"], ["places"]),
        helper.make_node("Cast", ["places"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["floats", "w"], ["y"]),
    ]
    model = a_model(nodes, {"w": np.ones((3, 2), np.float32)}, (["N", 4], ["M", 2]))
    assert estimate_energy_uj(model) is None


def test_integers_between_and_beyond_the_published_ones() -> None:
    assert integer_multiply_pj(8, 8) == pytest.approx(0.2)
    assert integer_multiply_pj(32, 32) == pytest.approx(3.1)
    assert 0.2 < integer_multiply_pj(8, 16) == integer_multiply_pj(16, 8) < 0.8
    assert math.isclose(integer_multiply_pj(4, 4), 0.0508, rel_tol=1e-3)


def test_the_energy_of_the_papers_network(baseline: NetworkState, context: Context) -> None:
    """12 maps of 26 x 26 from 9 pixels each, then 10 sums of 2,028; 20,410 numbers."""
    model = onnx.load_from_string(export_onnx(baseline, context))
    products, outputs = 12 * 26 * 26 * 9 + 10 * 2028, 12 * 26 * 26 + 10
    others = sum(  # such as the mean of the pixels
        math.prod(tensor.dims)
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.FLOAT and not tensor.name.endswith((".weight", ".bias"))
    )
    expected = products * 14.6 + outputs * 5 + (20_410 + others) * 640
    assert picojoules(model) == pytest.approx(expected)


def test_zeros_are_not_skipped(baseline: NetworkState, context: Context) -> None:
    pruned = toy_plan(0.9).prune.apply(baseline, context)
    energies = [
        picojoules(onnx.load_from_string(export_onnx(state, context)))
        for state in (baseline, pruned)
    ]
    assert energies[0] == energies[1]
