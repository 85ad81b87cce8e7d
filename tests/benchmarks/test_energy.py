"""The rows that are compared with those of Hashemi et al., on a layer and by hand."""

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from benchmarks.energy import row, widened
from objectives.artifact.energy import Energy, estimate_energy


def a_layer_of_16_bits() -> ModelProto:
    """4 inputs, 3 outputs."""
    tensors = {"scale": np.asarray(np.float32(1)), "zero": np.zeros((), np.int16)}
    tensors["w"] = np.arange(3, 27, 2, dtype=np.int16).reshape(4, 3)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "scale", "zero"], ["xf"]),
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["wf"]),
        helper.make_node("MatMul", ["xf", "wf"], ["y"]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width])
        for name, width in (("x", 4), ("y", 3))
    ]
    stored = [numpy_helper.from_array(values, name) for name, values in tensors.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def test_widened_integers_count_as_of_32_bits() -> None:
    model = a_layer_of_16_bits()
    before = model.SerializeToString()
    energy = estimate_energy(widened(model))
    assert energy is not None
    assert 1e6 * energy.arithmetic_uj == pytest.approx(12 * (3.1 + 0.1))
    assert 1e6 * energy.sram_uj == pytest.approx(12 * 2 * 5 + 3 * 5)
    assert 1e6 * energy.dram_uj == pytest.approx((12 + 2) * 640)
    assert model.SerializeToString() == before


def test_a_row_tells_savings_of_all_without_dram_and_of_arithmetic() -> None:
    floats = Energy(arithmetic_uj=10, sram_uj=10, dram_uj=80)
    energy = Energy(arithmetic_uj=1, sram_uj=4, dram_uj=20)
    savings = ["25.00", "75.0", "75.0", "90.0"]
    assert row("binary (1, 16)", energy, floats) == ["binary (1, 16)", *savings, "-", "-"]
    assert row("fixed point (8, 8)", energy, floats)[1:] == [*savings, "85.41", "-10.4"]
