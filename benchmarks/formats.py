"""What each way to store weights costs at inference: `python -m benchmarks.formats [NETWORK ...]`.

Files of networks with random weights answer one digit at a time on one thread, in turn; printed
are medians. `on` says what ONNX Runtime computes layers on (`objectives.artifact.kernels`).
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import onnx
import torch
from tabulate import tabulate

from benchmarks.integers import milliseconds_in_turn, prepared, session
from models.inputs import tensors_of
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

DEFAULT_NETWORKS = ["lenet5", "resnet20"]

_ROUNDED: dict[str, Any] = {"qat_epochs": 0, "batch_size": 64, "lr": 1e-3}
_START = Tuning(epochs=1, **_ROUNDED)
_FIXED: dict[str, Any] = {"tuning_epochs": 0, "batch_size": 64, "lr": 1e-3}

FORMATS: dict[str, Stage | None] = {
    "float32": None,
    "16 bits": Quantization(bits=16, **_ROUNDED),
    "8 bits": Quantization(bits=8, **_ROUNDED),
    "4 bits": Quantization(bits=4, **_ROUNDED),
    "2 bits": Quantization(bits=2, **_ROUNDED),
    "codebook": Clustering.start(_START),
    "codebook of blocks": ProductQuantization.start(_START),
    "powers of two": PowerOfTwo.start(_START),
    "signs": BinaryWeights.start(_START),
    "differentiable": DifferentiableQuantization.start(_START),
    "fixed point, inputs 8 bits": FixedPoint(**_FIXED),
    "fixed point, inputs 4 bits": FixedPoint(bits=4, input_bits=4, **_FIXED),
    "fixed point, inputs 16 bits": FixedPoint(bits=16, input_bits=16, **_FIXED),
    "fixed point, inputs floats": FixedPoint(input_bits=32, **_FIXED),
}
"""What is timed, by what the table calls it; None is the uncompressed file."""


def rows(network: str) -> list[list[str]]:
    """Return what each format costs `network`."""
    context, state = prepared(network)
    kernels, sessions = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, settings in FORMATS.items():
            torch.manual_seed(0)
            stored = state if settings is None else settings.apply(state, context)
            file = Path(folder) / "file.onnx"
            file.write_bytes(export_onnx(stored, context))
            kernels[name] = sorted({layer.kernel for layer in stored_layers(onnx.load(file))})
            sessions[name] = session(file)
        (one,) = tensors_of(context.data.training_inputs(1))
        taken = milliseconds_in_turn(sessions, one.numpy())
    return [
        [network, name, "; ".join(kernels[name]), f"{ms:.3f}", f"{ms / taken['float32']:.2f}"]
        for name, ms in taken.items()
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=DEFAULT_NETWORKS, metavar="NETWORK")
    made = [row for network in parser.parse_args().networks for row in rows(network)]
    headers = ["network", "weights", "on", "ms", "of float32"]
    print(tabulate(made, headers, "pipe", disable_numparse=True))


if __name__ == "__main__":
    main()
