"""Accuracy, bytes and energy by precision: `python -m benchmarks.precisions [NETWORK ...]`.

The formats of Hashemi et al. 2017 (arXiv:1612.03940, Table IV) on networks like two of theirs,
LeNet on MNIST and ALEX on CIFAR-10: a baseline is trained, then fine-tuned in each format, written
as the file that would be shipped, and measured on test. Energy is our estimate without DRAM, as
theirs is that of an accelerator with its buffers. One seed; each row is printed as it comes.

No ONNX file has inputs of 32-bit integers: (32, 32) is a row of `benchmarks.energy` alone.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import torch
from torch import nn

from benchmarks.energy import precisions
from models.data_source import Augmentation, DataOptions
from models.registry import MODELS, ModelSpec
from models.resolve import resolve_data
from objectives.artifact.energy import estimate_energy
from objectives.artifact.export import export_onnx
from objectives.artifact.measure import measure_file
from objectives.context import Context
from objectives.network.state import NetworkState
from objectives.recipe import Recipe
from objectives.stages.train import BaselineTraining

BATCH = 128
RATE = 1e-3
TUNING_RATE = 5e-4
HELD_OUT = 0.1
HEADERS = ("network", "weights, inputs", "test %", "change", "bytes", "uJ", "saving %")


def alex(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Return three 5x5 convolutions, each halved by pooling, and a dense layer.

    The network that cuda-convnet and Caffe call CIFAR-10 quick, without its second dense layer.
    """
    channels, height, width = input_shape
    layers: list[nn.Module] = []
    pools = (nn.MaxPool2d, nn.AvgPool2d, nn.AvgPool2d)
    for outputs, pool in zip((32, 32, 64), pools, strict=True):
        layers += [nn.Conv2d(channels, outputs, 5, padding=2), nn.ReLU(), pool(2)]
        channels = outputs
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(channels * (height // 8) * (width // 8), num_classes)
    )


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network, its data and how long it is trained."""

    build: Callable[[tuple[int, ...], int], nn.Module]
    data: str
    augment: Augmentation
    epochs: int
    tuning_epochs: int


SUBJECTS = {
    "lenet5": Subject(
        build=MODELS.get("lenet5").build,
        data="mnist",
        augment="shift",
        epochs=10,
        tuning_epochs=4,
    ),
    "alex": Subject(build=alex, data="cifar10", augment="crop-flip", epochs=30, tuning_epochs=5),
}


def baseline(subject: Subject, root: Path) -> tuple[NetworkState, Context]:
    """Return the trained network and what its stages share."""
    options = DataOptions(root=root, augment=subject.augment, held_out=HELD_OUT)
    data = resolve_data(subject.data, options)
    data.setup()
    spec = ModelSpec(build=subject.build, data=subject.data, normalize=True)
    context = Context(model=spec, data=data, seed=0, recipe=Recipe(lr_decay="cosine"))
    training = BaselineTraining(epochs=subject.epochs, batch_size=BATCH, lr=RATE)
    return training.apply(NetworkState(weights={}), context), context


def tell(name: str, subject: Subject, root: Path) -> None:
    """Print a row for each precision of one network."""
    state, context = baseline(subject, root)
    tuning = {"tuning_epochs": subject.tuning_epochs, "batch_size": BATCH, "lr": TUNING_RATE}
    of_floats: tuple[float, float] | None = None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        for precision, each in precisions(state, context, tuning):
            file.write_bytes(export_onnx(each, context))
            measured = measure_file(file, context.data)
            energy = estimate_energy(onnx.load(file))
            assert energy is not None
            on_chip_uj = energy.total_uj - energy.dram_uj
            of_floats = of_floats or (measured.test_score, on_chip_uj)  # which come first
            cells = [
                name,
                precision,
                f"{measured.test_score:.2f}",
                f"{measured.test_score - of_floats[0]:+.2f}",
                f"{measured.artifact_bytes:,}",
                f"{on_chip_uj:.2f}",
                f"{100 * (1 - on_chip_uj / of_floats[1]):.1f}",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(SUBJECTS)}")
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--cifar10", default="cifar10", help="the name of that data")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    print(f"| {' | '.join(HEADERS)} |\n|:--|:--|{'--:|' * (len(HEADERS) - 2)}")
    for name in chosen.networks or SUBJECTS:
        subject = SUBJECTS[name]
        if subject.data == "cifar10":
            subject = replace(subject, data=chosen.cifar10)
        tell(name, subject, chosen.data_root)


if __name__ == "__main__":
    main()
