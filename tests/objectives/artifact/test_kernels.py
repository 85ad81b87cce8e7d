"""What a file's layers are said to be computed on is what ONNX Runtime does."""

from pathlib import Path
from typing import Any

import onnx
import pytest
from toys import Between, FewDigits, toy_context

from benchmarks.integers import optimized_operators
from models.registry import ModelSpec
from objectives.artifact.export import export_onnx
from objectives.artifact.stored_layers import stored_layers
from objectives.stages.base import Stage, Tuning
from objectives.stages.binary import BinaryWeights
from objectives.stages.cluster import Clustering
from objectives.stages.differentiable import DifferentiableQuantization
from objectives.stages.fixed_point import FixedPoint
from objectives.stages.power_of_two import PowerOfTwo
from objectives.stages.product import ProductQuantization
from objectives.stages.quantize import Quantization

TUNING = Tuning(epochs=1, qat_epochs=0, batch_size=64, lr=1e-3)
UNTRAINED: dict[str, Any] = {"qat_epochs": 0, "batch_size": 64, "lr": 1e-3}
FIXED_POINT = FixedPoint.start(TUNING)
UNPACKED = "floats, unpacked each time"

FORMATS: dict[str, tuple[Stage, str]] = {
    "16 bits": (Quantization(bits=16, **UNTRAINED), "floats"),
    "8 bits": (Quantization(bits=8, integers="everywhere", **UNTRAINED), "integers"),
    "4 bits": (Quantization(bits=4, integers="everywhere", **UNTRAINED), "integers"),
    "2 bits": (Quantization(bits=2, integers="everywhere", **UNTRAINED), "integers"),
    "8 bits of weights": (Quantization(bits=8, **UNTRAINED), "floats"),
    "codebook": (Clustering.start(TUNING), "floats"),
    "blocks": (ProductQuantization.start(TUNING), "floats"),
    "signs": (BinaryWeights.start(TUNING), "floats"),
    "powers of two": (PowerOfTwo.start(TUNING), "floats"),
    "differentiable": (DifferentiableQuantization.start(TUNING), "floats"),
    "fixed point of 16 bits": (
        FixedPoint(bits=16, input_bits=16, tuning_epochs=0, batch_size=64, lr=1.0),
        UNPACKED,
    ),
    "fixed point of floats": (
        FixedPoint(bits=8, input_bits=32, tuning_epochs=0, batch_size=64, lr=1.0),
        "floats",
    ),
}


def a_network(*_: object) -> Between:
    return Between(lambda a, b: a + b)


@pytest.mark.parametrize("name", FORMATS)
def test_layers_are_computed_on_what_is_said(name: str, digits: FewDigits, tmp_path: Path) -> None:
    settings, expected = FORMATS[name]
    context = toy_context(digits, model=ModelSpec(build=a_network, data="own"))
    file = tmp_path / "a.onnx"
    file.write_bytes(export_onnx(settings.apply(context.untrained(), context), context))
    assert {layer.kernel for layer in stored_layers(onnx.load(file))} == {expected}
    found = optimized_operators(file)
    on_integers = {"QLinearConv", "QGemm"} & found.keys()
    assert bool(on_integers) == (expected == "integers")
    assert bool(found.keys() & {"Conv", "FusedConv", "Gemm"}) == (expected != "integers")
    assert (found["DequantizeLinear"] > 0) == (expected == UNPACKED)
