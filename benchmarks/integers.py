"""Whether an 8-bit file is faster than the float one: `python -m benchmarks.integers [NAME ...]`.

Networks with random weights, and norms that do something, are quantized after training to 8 bits.
Both files answer one digit at a time on one thread, in turn, by ONNX Runtime as a user would run
them; printed are medians. Of the graph that the runtime made of the 8-bit file: operators that
compute on integers, and DequantizeLinear that are left, which return to float. `off` is how far
its answers are from those of PyTorch's fake-quantized network where nothing is fused, in standard
deviations of these; `same` the share of digits that the fused file puts in the same class.
"""

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import onnxruntime
import torch
from tabulate import tabulate
from torch import nn

from benchmarks.conformance.registry import all_networks, randomize_
from models.data.mnist5k import MNIST5k
from models.data_source import DataOptions
from models.inputs import tensors_of
from models.registry import MODELS, ModelSpec
from objectives.artifact.agreement import largest_difference
from objectives.artifact.export import export_onnx
from objectives.context import Context
from objectives.network.state import NetworkState, copy_weights
from objectives.stages.quantize import IntegerRule, Quantization
from objectives.training.activations import attach_activations_

ROUNDS = 30
SECONDS_OF_A_ROUND = 0.02
COMPARED = 500
"""Digits."""
Name = TypeVar("Name", bound=Hashable)

INTEGER = ("QLinear", "QGemm", "QAttention", "ConvInteger", "MatMulInteger", "QOrdered")
"""What the names of operators begin with, or hold, that compute on integers."""


class Coloured(nn.Module):
    """A network for three channels, given one."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, digits: torch.Tensor) -> torch.Tensor:
        """Return logits (N, 10) of digits (N, 1, H, W)."""
        logits: torch.Tensor = self.network(digits.expand(-1, 3, -1, -1))
        return logits


def _ours(name: str) -> Callable[..., nn.Module]:
    return MODELS.get(name).build


def _torchvision(name: str) -> Callable[..., nn.Module]:
    def build(*_: object) -> nn.Module:
        import torchvision

        return Coloured(torchvision.models.get_model(name, weights=None, num_classes=10))

    return build


def _mlp(*_: object) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 1024),
        nn.ReLU(),
        nn.Linear(1024, 1024),
        nn.ReLU(),
        nn.Linear(1024, 10),
    )


def _dense(width: int) -> nn.Module:
    layers = [nn.Linear(784, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(width, 10))


def _convolutions(channels: int) -> nn.Module:
    layers: list[nn.Module] = []
    for taken in (1, channels):
        layers += [nn.Conv2d(taken, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * 49, 10))


SIZES: dict[str, Callable[..., nn.Module]] = {
    f"{kind} {width}": lambda *_, build=build, width=width: build(width)
    for kind, build in (("dense", _dense), ("convolutions", _convolutions))
    for width in (8, 16, 32, 64, 128, 256)
}
"""Networks of few and of many multiplications."""

NETWORKS: dict[str, tuple[Callable[..., nn.Module], int]] = {
    "cnn": (_ours("cnn"), 28),
    "lenet5": (_ours("lenet5"), 28),
    "mlp": (_mlp, 28),
    "alexnet": (_ours("alexnet"), 67),
    "resnet20": (_ours("resnet20"), 32),
    "resnet18": (_torchvision("resnet18"), 64),
    "mobilenet_v2": (_torchvision("mobilenet_v2"), 64),
    "mobilenet_v3_small": (_torchvision("mobilenet_v3_small"), 64),
    "transformer encoder": (lambda *_: all_networks()["transformer encoder"](), 32),
}
"""What builds each, and the height and width of its inputs."""


def prepared(name: str) -> tuple[Context, NetworkState]:
    """Return a network on digits, and its weights."""
    build, size = NETWORKS.get(name) or (SIZES[name], 28)
    data = MNIST5k(DataOptions(input_size=size))
    data.setup()

    def made(*shape: object) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return build(*shape)

    context = Context(model=ModelSpec(build=made, data="mnist5k"), data=data, seed=0)
    network = context.network_of(context.untrained())
    randomize_(network)
    return context, NetworkState(weights=copy_weights(network))


def row(name: str, integers: IntegerRule = "fast") -> dict[str, object]:
    """Return what is measured of one network."""
    context, state = prepared(name)
    stage = Quantization(
        bits=8, qat_epochs=0, batch_size=64, lr=1e-3, calibration_images=128, integers=integers
    )
    quantized = stage.apply(state, context)
    (inputs,) = tensors_of(context.data.training_inputs(COMPARED))
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for bits, each in ((32, state), (8, quantized)):
            files[bits] = Path(folder) / f"{bits}.onnx"
            files[bits].write_bytes(export_onnx(each, context))
        operators = optimized_operators(files[8])
        sessions = {bits: session(file) for bits, file in files.items()}
        taken = milliseconds_in_turn(sessions, inputs[:1].numpy())
        answers = answers_of(sessions[8], inputs.numpy())
        content = files[8].read_bytes()
    network = context.network_of(quantized)
    attach_activations_(network, context.values(quantized), quantized.activations)
    with torch.no_grad():
        expected = torch.cat([network(part) for part in inputs.split(50)]).numpy()
    off = largest_difference(content, quantized, context)
    return {
        "network": name,
        "weights": f"{sum(each.numel() for each in state.weights.values()):,}",
        "float32 ms": f"{taken[32]:.3f}",
        "int8 ms": f"{taken[8]:.3f}",
        "int8 / float32": f"{taken[8] / taken[32]:.2f}",
        "on integers": sum(
            count for kind, count in operators.items() if any(part in kind for part in INTEGER)
        ),
        "DequantizeLinear": operators["DequantizeLinear"],
        "off": f"{off.distance:.0e}",
        "same %": f"{100 * float((answers.argmax(1) == expected.argmax(1)).mean()):.1f}",
    }


def size_row(name: str) -> dict[str, object]:
    """Return what everything on integers takes of a network of some size."""
    context, state = prepared(name)
    network = context.network_of(state)
    multiplications = 0

    def count(layer: nn.Module, _: object, given: torch.Tensor) -> None:
        nonlocal multiplications
        multiplications += given[0].numel() * layer.weight[0].numel()  # type: ignore[index]

    for layer in context.layers_of(network).values():
        layer.module.register_forward_hook(count)
    network(context.data.training_inputs(1))
    measured = row(name, integers="everywhere")
    columns = ("network", "float32 ms", "int8 ms", "int8 / float32")
    return {"multiplications": f"{multiplications:,}"} | {each: measured[each] for each in columns}


def session(file: Path, optimized: Path | None = None) -> onnxruntime.InferenceSession:
    """Return ONNX Runtime's default session of one thread; it may write the graph that it made."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def optimized_operators(file: Path) -> Counter[str]:
    """Return how many operators of each kind are in the graph that ONNX Runtime makes."""
    made = file.with_suffix(".optimized.onnx")
    session(file, made)
    return Counter(node.op_type for node in onnx.load(made).graph.node)


def milliseconds_in_turn(
    sessions: Mapping[Name, onnxruntime.InferenceSession], one: np.ndarray
) -> dict[Name, float]:
    """Return the median milliseconds of each session for one input, timed in turn."""
    taken: dict[Name, list[float]] = {name: [] for name in sessions}
    for number in range(ROUNDS + 1):
        for name, each in sessions.items():
            began, runs = time.perf_counter(), 0
            while time.perf_counter() - began < SECONDS_OF_A_ROUND:
                answers_of(each, one)
                runs += 1
            if number > 0:  # the first one prepares
                taken[name].append(1000 * (time.perf_counter() - began) / runs)
    return {name: statistics.median(times) for name, times in taken.items()}


def answers_of(made: onnxruntime.InferenceSession, inputs: np.ndarray) -> np.ndarray:
    """Return a session's logits."""
    (answers,) = made.run(None, {made.get_inputs()[0].name: inputs})
    return np.asarray(answers)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), metavar="NETWORK")
    parser.add_argument(
        "--sizes", action="store_true", help="small and large networks, everything on integers"
    )
    parser.add_argument(
        "--everywhere", action="store_true", help="put also on integers what is slower so"
    )
    options = parser.parse_args()
    rule: IntegerRule = "everywhere" if options.everywhere else "fast"
    if options.sizes:
        rows = [size_row(name) for name in SIZES]
    else:
        rows = [row(name, rule) for name in options.networks]
    print(tabulate(rows, "keys", "pipe", disable_numparse=True))


if __name__ == "__main__":
    main()
