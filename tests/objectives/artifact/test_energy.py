"""Picojoules worked out by hand from Horowitz's table."""

import math

import numpy as np
import onnx
import pytest
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from toys import toy_plan

from objectives.artifact.energy import (
    estimate_energy,
    estimate_energy_uj,
    integer_multiply_pj,
    integer_shift_pj,
    shift_places,
)
from objectives.artifact.export import export_onnx
from objectives.context import Context
from objectives.network.state import NetworkState
from objectives.stages.binary import BinaryWeights
from objectives.stages.fixed_point import FixedPoint
from objectives.stages.power_of_two import PowerOfTwo

INT4 = helper.tensor_dtype_to_np_dtype(TensorProto.INT4)


def odd(*shape: int, dtype: type = np.float32) -> np.ndarray:
    """Numbers that no shift multiplies by: none is 0, none as often as not is a power of two."""
    return (2.0 * np.arange(math.prod(shape)) + 3).astype(dtype).reshape(shape)


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
    tensors = {"w": odd(3, 4), "b": np.ones(3, np.float32)}
    gemm = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)
    model = a_model([gemm], tensors, (["N", 4], ["N", 3]))
    # 12 products that each read two numbers, 3 written, 15 from DRAM
    assert picojoules(model) == pytest.approx(12 * (3.7 + 0.9 + 2 * 5) + 3 * 5 + 15 * 640)


def test_a_convolution_of_half_floats() -> None:
    tensors = {"w": odd(6, 2, 3, 3, dtype=np.float16)}
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
    one, zero = np.float32(1), np.uint8(0)
    tensors = {"xs": np.asarray(one), "xz": np.asarray(zero), "ws": np.asarray(one)}
    weight = np.tile(np.array([3, 5, -7, -1, 2]), (4, 1)).astype(INT4)
    tensors |= {"w": weight, "wz": np.zeros((), INT4)}
    tensors |= {"c": np.ones((5, 3), np.uint8), "c_codebook": odd(7, 2)}
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


@pytest.mark.parametrize("kind", [TensorProto.DOUBLE, TensorProto.INT32])
def test_numbers_without_a_published_cost_give_no_number(kind: int) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    product = helper.make_node("MatMul", ["x", "w"], ["y"])
    model = a_model([product], {"w": np.ones((3, 2), dtype)}, (["N", 3], ["N", 2]), (kind, kind))
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


def a_dense_layer(weight: np.ndarray) -> ModelProto:
    """4 inputs, 3 outputs."""
    product = helper.make_node("MatMul", ["x", "w"], ["y"])
    return a_model([product], {"w": weight}, (["N", 4], ["N", 3]))


def test_a_weight_of_zero_is_read_and_nothing_else_is_done() -> None:
    weight = odd(4, 3)
    weight[0, 1] = weight[2] = 0
    left = 12 - 4
    expected = left * (3.7 + 0.9 + 5) + 12 * 5 + 3 * 5 + 12 * 640
    assert picojoules(a_dense_layer(weight)) == pytest.approx(expected)


def test_floats_are_shifted_by_an_addition_to_the_exponent_and_signs_are_free() -> None:
    memory = 12 * (5 + 5) + 3 * 5 + 12 * 640
    signs = np.where(odd(4, 3) % 3 == 0, 0.3, -0.3).astype(np.float32)
    assert picojoules(a_dense_layer(signs)) == pytest.approx(12 * 0.9 + memory)
    signs[0, 0] *= 4
    assert picojoules(a_dense_layer(signs)) == pytest.approx(12 * (0.9 + 0.03) + memory)
    signs[0, 0] *= 3
    assert picojoules(a_dense_layer(signs)) == pytest.approx(12 * (0.9 + 3.7) + memory)


def a_layer_of_integers(weight: np.ndarray, zero_point: int = 0) -> ModelProto:
    """4 inputs of 16 bits, 3 outputs; whatever type the weight has."""
    one = np.float32(1)
    tensors = {"xs": np.asarray(one), "xz": np.zeros((), np.int16), "ws": np.asarray(one)}
    tensors |= {"w": weight, "wz": np.array(zero_point).astype(weight.dtype)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xf"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wf"]),
        helper.make_node("MatMul", ["xf", "wf"], ["y"]),
    ]
    return a_model(nodes, tensors, (["N", 4], ["N", 3]))


def arithmetic_pj(model: ModelProto) -> float:
    energy = estimate_energy(model)
    assert energy is not None
    return 1e6 * energy.arithmetic_uj


def test_integers_less_their_zero_point_are_shifted_if_all_are_powers_of_two() -> None:
    weight = np.array([[4, 5, 7], [3, 2, 1], [3, 4, 1], [-1, 3, 7]]).astype(INT4)
    multiplied = a_layer_of_integers(weight)
    assert arithmetic_pj(multiplied) == pytest.approx(12 * (integer_multiply_pj(4, 16) + 0.1))
    shifted = a_layer_of_integers(weight, 3)  # 1, 2, 4 and signs, and three zeros: two rows
    shift = 0.3 * 2 * 16 * 0.1 / 32
    assert arithmetic_pj(shifted) == pytest.approx(9 * (shift + 0.1))
    ternary = np.array([[1, 0, -1]] * 4).astype(INT4)
    assert arithmetic_pj(a_layer_of_integers(ternary)) == pytest.approx(8 * 0.1)


def test_codes_of_powers_of_two_shift_integers_and_no_entry_is_read() -> None:
    one = np.float32(1)
    tensors = {"xs": np.asarray(one), "xz": np.zeros((), np.int8)}
    tensors |= {"c": np.array([[0, 1, 2]] * 4, np.uint8)}
    tensors |= {"c_codebook": np.array([-0.75, 0, 96], np.float32)}  # 7 places apart
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xf"]),
        helper.make_node("Cast", ["c"], ["ci"], to=TensorProto.INT32),
        helper.make_node("Gather", ["c_codebook", "ci"], ["v"]),
        helper.make_node("MatMul", ["xf", "v"], ["y"]),
    ]
    energy = estimate_energy(a_model(nodes, tensors, (["N", 4], ["N", 3])))
    assert energy is not None
    shift = 0.3 * 3 * 8 * 0.1 / 32
    assert 1e6 * energy.arithmetic_uj == pytest.approx(8 * (shift + 0.1))
    assert 1e6 * energy.sram_uj == pytest.approx(5 * (12 * 8 + 8 * 8) / 32 + 3 * 5)
    bits = 12 * 8 + 3 * 32 + 32 + 8  # codes, codebook, scale, zero point
    assert 1e6 * energy.dram_uj == pytest.approx(bits / 32 * 640)


@pytest.mark.parametrize(
    ("low", "high", "bits"), [(-8, 7, 4), (-7, 7, 4), (0, 3, 2), (-128, 127, 8)]
)
def test_an_input_has_as_many_bits_as_a_clip_leaves_it(low: int, high: int, bits: int) -> None:
    tensors = {"xs": np.asarray(np.float32(0.5)), "xz": np.zeros((), np.int8)}
    tensors |= {"low": np.asarray(np.float32(low / 2)), "high": np.asarray(np.float32(high / 2))}
    tensors |= {"w": odd(4, 3, dtype=np.int8), "ws": tensors["xs"], "wz": tensors["xz"]}
    nodes = [
        helper.make_node("Clip", ["x", "low", "high"], ["xc"]),
        helper.make_node("QuantizeLinear", ["xc", "xs", "xz"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xf"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wf"]),
        helper.make_node("MatMul", ["xf", "wf"], ["y"]),
    ]
    energy = estimate_energy(a_model(nodes, tensors, (["N", 4], ["N", 3])))
    assert energy is not None
    assert 1e6 * energy.arithmetic_uj == pytest.approx(12 * (integer_multiply_pj(8, bits) + 0.1))
    assert 1e6 * energy.sram_uj == pytest.approx(12 * 5 * (8 + bits) / 32 + 3 * 5)


@pytest.mark.parametrize(
    ("numbers", "places"),
    [
        ([0, 0], 0),
        ([], 0),
        ([0.3, -0.3, 0], 0),
        ([1, -2, 4], 2),
        ([0.75, 24], 5),
        ([1, 3], None),
        ([1, 1 + 2**-20], None),
        ([2**-31, 1], 31),
    ],
)
def test_places_of_numbers(numbers: list[float], places: int | None) -> None:
    assert shift_places(np.array(numbers, np.float32)) == places


def test_a_product_costs_no_more_the_narrower_it_is_and_the_less_is_to_be_done() -> None:
    widths = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]
    for weight_bits in widths[1:]:
        most = 2 ** (weight_bits - 1) - 2  # exponents that so many bits tell
        multiplied = [integer_multiply_pj(weight_bits, bits) for bits in widths]
        shifted = [integer_shift_pj(min(most, 31), bits) for bits in widths]
        assert multiplied == sorted(multiplied)
        assert shifted == sorted(shifted)
        assert all(less < more for less, more in zip(shifted, multiplied, strict=True))
    shifts = [integer_shift_pj(places, 16) for places in range(32)]
    assert shifts == sorted(shifts)
    assert shifts[0] == 0 < shifts[1]


COMMON = {"tuning_epochs": 0, "batch_size": 64, "lr": 1e-3}


def test_the_fewer_bits_and_the_simpler_the_weights_the_less_a_file_takes(
    baseline: NetworkState, context: Context
) -> None:
    def microjoules(state: NetworkState) -> float:
        energy = estimate_energy_uj(onnx.load_from_string(export_onnx(state, context)))
        assert energy is not None
        return energy

    inputs = FixedPoint(bits=16, input_bits=16, **COMMON).apply(baseline, context)
    fixed = [
        microjoules(FixedPoint(bits=bits, input_bits=bits, **COMMON).apply(baseline, context))
        for bits in (16, 8, 4)
    ]
    powers = [
        microjoules(PowerOfTwo(bits=bits, **COMMON).apply(inputs, context)) for bits in (6, 4, 2)
    ]
    binary = microjoules(BinaryWeights(**COMMON).apply(inputs, context))
    assert microjoules(baseline) > fixed[0] > fixed[1] > fixed[2]
    assert fixed[0] > powers[0] > powers[1] > powers[2]
    assert powers[1] > binary


def test_pruning_saves_energy(baseline: NetworkState, context: Context) -> None:
    """By as much as products are left out; the file's bytes stay those of all weights."""
    pruned = toy_plan(0.9).get("prune").apply(baseline, context)
    before, after = (
        estimate_energy(onnx.load_from_string(export_onnx(state, context)))
        for state in (baseline, pruned)
    )
    assert before is not None
    assert after is not None
    left = 11 * 26 * 26 + 2028  # of 108 weights that 676 pixels multiply, and of 20,280
    assert 1e6 * after.arithmetic_uj == pytest.approx(left * 4.6)
    assert 0.5 * before.sram_uj < after.sram_uj < 0.6 * before.sram_uj
    assert after.dram_uj == before.dram_uj
