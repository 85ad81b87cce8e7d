"""What a plan puts on integers ONNX Runtime computes on integers."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from toys import Between, FewDigits, toy_context

from benchmarks.integers import optimized_operators
from models.registry import ModelSpec
from objectives.artifact.export import export_onnx
from objectives.network.integers import BETWEEN, INTEGER_OPERATORS, IntegerPlan
from objectives.stages.quantize import Quantization

QUANTIZE: dict[str, object] = {"qat_epochs": 0, "batch_size": 64, "lr": 1e-3}


OPERATORS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], int]] = {
    "Add": (lambda a, b: a + b, 8),
    "Mul": (lambda a, b: a * b, 8),
    "Concat": (lambda a, b: torch.cat([a, b], 1), 16),
    "AveragePool": (lambda a, b: nn.functional.avg_pool2d(a + b, 2), 8),
    "GlobalAveragePool": (lambda a, b: (a + b).mean((2, 3), keepdim=True), 8),
    "Sigmoid": (lambda a, b: (a + b).sigmoid(), 8),
    "LeakyRelu": (lambda a, b: nn.functional.leaky_relu(a + b), 8),
}


def quantized(
    build: Callable[..., nn.Module], digits: FewDigits, tmp_path: Path, **settings: object
) -> Counter[str]:
    """The operators that ONNX Runtime makes of the 8-bit file."""
    context = toy_context(digits, model=ModelSpec(build=build, data="own"))
    stage = Quantization(**({"bits": 8, "integers": "everywhere"} | QUANTIZE | settings))
    file = tmp_path / "8.onnx"
    file.write_bytes(export_onnx(stage.apply(context.untrained(), context), context))
    return optimized_operators(file)


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_runtime_computes_each_operator_of_the_table_on_integers(
    operator: str, digits: FewDigits, tmp_path: Path
) -> None:
    compute, channels = OPERATORS[operator]
    found = quantized(lambda *_: Between(compute, channels), digits, tmp_path)
    assert INTEGER_OPERATORS[operator] in found
    assert operator not in found
    assert "Conv" not in found
    assert found["DequantizeLinear"] == 0


def test_the_table_of_operators_is_tried_wholly() -> None:
    assert OPERATORS.keys() == BETWEEN


@pytest.mark.parametrize("layer", ["Conv", "Gemm", "MatMul"])
def test_the_runtime_computes_layers_on_integers(
    layer: str, digits: FewDigits, tmp_path: Path
) -> None:
    networks: dict[str, Callable[[], nn.Module]] = {
        "Conv": lambda: Between(lambda a, b: a + b),
        "Gemm": lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.Linear(8, 10)),
        "MatMul": lambda: nn.Sequential(
            nn.Flatten(2),
            nn.Flatten(0, 1),
            nn.Unflatten(0, (-1, 1)),
            nn.Linear(784, 8),
            nn.Linear(8, 10),
            nn.Flatten(1),
        ),
    }
    found = quantized(lambda *_: networks[layer](), digits, tmp_path)
    assert found[INTEGER_OPERATORS[layer]] >= (2 if layer != "Conv" else 1)
    assert not found.keys() & {"Conv", "FusedConv", "Gemm", "MatMul"}


@pytest.mark.parametrize("bits", [8, 6, 5, 4, 3, 2])
def test_weights_of_fewer_bits_have_the_same_fast_kernels(
    bits: int, digits: FewDigits, tmp_path: Path
) -> None:
    found = quantized(lambda *_: Between(lambda a, b: a + b), digits, tmp_path, bits=bits)
    assert found["QLinearConv"] == 3
    assert found["QGemm"] == 1
    assert found["DequantizeLinear"] == found["Cast"] == 0


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_small_network_unpacks_its_weights_once(
    bits: int, symmetric: bool, digits: FewDigits, tmp_path: Path
) -> None:
    found = quantized(
        lambda *_: Between(lambda a, b: a + b),
        digits,
        tmp_path,
        bits=bits,
        symmetric=symmetric,
        integers="fast",
    )
    assert not found.keys() & {"QuantizeLinear", "DequantizeLinear", "Cast", "Sub", "QLinearConv"}
    assert found["Mul"] == 0


def plan_of(build: Callable[..., nn.Module], digits: FewDigits, **how: bool) -> IntegerPlan:
    context = toy_context(digits, model=ModelSpec(build=build, data="own"))
    state = context.fold(context.untrained())
    layers = context.layers_of(context.network_of(state))
    return context.integers(state, layers, **({"everywhere": True} | how))


def test_a_residual_is_on_integers_through_and_through(digits: FewDigits) -> None:
    plan = plan_of(lambda *_: Between(lambda a, b: (a + b).relu()), digits)
    assert plan.layers.keys() == {"first", "other", "last", "head"}
    assert plan.groups == tuple(
        (name,) for name in ("input", "relu", "mean", "conv2d", "conv2d_1", "conv2d_2")
    )
