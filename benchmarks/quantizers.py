"""Bytes without training, against NNCodec: `python -m benchmarks.quantizers [--data-root DIR]`.

NNCodec is the reference of ISO/IEC 15938-17 (neural network coding). It is installed by hand, as
it asks for an older numpy and compiles for minutes (g++):

    pip install --no-deps nncodec opencv-python-headless ptflops h5py pybind11 wandb

The paper's CNN and the two LeNets are trained on exact MNIST as a study trains its baseline, one
seed. Then nothing is trained any more: each quantizer goes through its steps, ours through the
`noise` of the stage `uniform`, NNCodec through its `qp`, and the error of what comes back is
counted on the 10,000 images of test. NNCodec's plain grid rounds to the nearest; its
rate-distortion is dependent quantization along a trellis (`use_dq`). Bytes are those of the whole
container, graph included, and of NNCodec's whole bitstream, which has the parameters and their
names. Bytes at a loss are interpolated between two steps, both on a logarithmic scale, at the
first crossing from below: a coarser step that happens to lose less is not looked for.
"""

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import torch
from tabulate import tabulate

from models.data.mnist import MNIST
from models.data_source import DataOptions
from models.registry import MODELS
from objectives.artifact.export import export_onnx
from objectives.container.format import encode
from objectives.context import Context
from objectives.network.state import NetworkState
from objectives.stages.train import BaselineTraining
from objectives.stages.uniform import UniformSteps
from objectives.training.evaluate import network_worth

NETWORKS = ("lenet300", "lenet5", "cnn")
LOSSES = (0.1, 0.5, 1.0)
"""Points of test accuracy."""
NOISES = tuple(0.02 * 1.25**step for step in range(30))
QPS = range(-48, -7, 2)
SMALLEST_LOSS = 0.01
"""On the logarithmic scale; an image of test is this much."""

Coded = tuple[int, NetworkState]
"""Bytes, and the network that comes back."""


def trained(name: str, data: MNIST) -> tuple[Context, NetworkState]:
    """Return the baseline of a network."""
    spec = MODELS.get(name)
    context = Context(model=spec, data=data, seed=0)
    stage = BaselineTraining(epochs=spec.epochs, batch_size=spec.batch_size, lr=spec.lr)
    return context, stage.apply(NetworkState(weights={}), context)


def ours(context: Context, state: NetworkState) -> Iterator[Coded]:
    """Yield what each noise gives."""
    for noise in NOISES:
        stage = UniformSteps(noise=noise, tuning_epochs=0, batch_size=1, lr=1.0)
        rounded = stage.apply(state, context)
        yield len(encode(export_onnx(rounded, context))), rounded


def nncodec(state: NetworkState, *, dependent: bool) -> Iterator[Coded]:
    """Yield what each qp gives."""
    codec = import_module("nncodec.nn")

    weights = {name: tensor.numpy() for name, tensor in state.weights.items()}
    with tempfile.TemporaryDirectory() as folder:
        for qp in QPS:
            settings = {"qp": qp, "use_dq": dependent, "verbose": False, "results": folder}
            stream = codec.encode(weights, settings, incremental=True)
            back = codec.decode(stream, {"lsa": False})
            tensors = {name: torch.from_numpy(values) for name, values in back.items()}
            yield len(stream), NetworkState(weights=tensors)


def bytes_at(
    losses: tuple[float, ...], found: Iterator[Coded], loss_of: Callable[[Coded], float]
) -> list[float | None]:
    """Return the bytes at each of `losses`, ascending; None where no two steps are around it."""
    points = []
    for coded in found:
        points.append((max(loss_of(coded), SMALLEST_LOSS), coded[0]))
        if points[-1][0] > 2 * losses[-1]:
            break
    result: list[float | None] = []
    for loss in losses:
        crossing = next(
            ((low, high) for low, high in pairwise(points) if low[0] < loss <= high[0]),
            None,
        )
        if crossing is None:
            result.append(None)
            continue
        (low, more), (high, fewer) = crossing
        share = math.log(loss / low) / math.log(high / low)
        result.append(more * (fewer / more) ** share)
    return result


def rows(name: str, data: MNIST) -> Iterator[dict[str, object]]:
    """Yield a line of the table for each loss of a network."""
    context, state = trained(name, data)
    before = network_worth(context.network_of(state), context, "test")

    def loss_of(coded: Coded) -> float:
        return before - network_worth(context.network_of(coded[1]), context, "test")

    found = {
        "ours": bytes_at(LOSSES, ours(context, state), loss_of),
        "NNCodec, plain": bytes_at(LOSSES, nncodec(state, dependent=False), loss_of),
        "NNCodec, rate-distortion": bytes_at(LOSSES, nncodec(state, dependent=True), loss_of),
    }
    for place, loss in enumerate(LOSSES):
        at = {who: sizes[place] for who, sizes in found.items()}
        best = min((size for who, size in at.items() if who != "ours" and size), default=None)
        ours_at = at["ours"]
        yield {
            "network": name,
            "error % before": f"{100 - before:.2f}",
            "points lost": loss,
            **{who: "" if size is None else f"{size:,.0f}" for who, size in at.items()},
            "ours / NNCodec's best": f"{ours_at / best:.2f}" if ours_at and best else "",
        }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    options = parser.parse_args()
    data = MNIST(DataOptions(root=options.data_root))
    data.setup()
    table = []
    for name in options.networks:
        for row in rows(name, data):
            print(*row.values(), file=sys.stderr)  # as it takes long
            table.append(row)
    print(tabulate(table, headers="keys", tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
