"""What an epoch costs beyond its arithmetic: `python -m benchmarks.training [MODEL ...]`.

The floor is the same epoch as a plain torch loop on the same tensors in memory, with the same
batches, optimizer and number of threads, in a process of its own: what we tell the C library about
memory changes the loop's speed, too. Each pair is timed in turn, one after the other, so that a
machine whose speed drifts does not favour one of them; printed is the median of the ratios, with
the lowest and the highest.

    train / floor   Lightning, progress, the look at the loss          goal 1.05
    prune / train   masks that are renewed and applied at each step    goal 1.10
    QAT / train     fake quantization in the forward pass              goal 1.35
    bf16 / train    layers that compute in bfloat16 (--mixed-precision bf16)

Pixels are random: no time depends on them.
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import NamedTuple

# ruff: isort: split
import torch
from tabulate import tabulate
from torch.nn import functional

from models.data_source import DataOptions
from models.image_parts import ImagePart, LabelledImages
from models.images import ImageData
from models.registry import MODELS, ModelSpec
from objectives.context import Context
from objectives.network.state import NetworkState, copy_weights
from objectives.recipe import MixedPrecision, Recipe
from objectives.stages.prune import FEWEST_STEPS_BETWEEN_UPDATES, MASK_UPDATES, WeightPruning
from objectives.stages.quantize import Quantization
from objectives.training.loop import train_
from search.workers.processes import default_threads


class Case(NamedTuple):
    """One network and how much of it is timed."""

    model: str
    shape: tuple[int, int, int]
    images: int
    all_images: int
    """Of the training part of the model's data."""
    epochs: int = 1


CASES = {
    case.model: case
    for case in (
        Case("cnn", (1, 28, 28), 42_000, 42_000),
        Case("lenet300", (1, 28, 28), 42_000, 42_000),
        Case("lenet5", (1, 28, 28), 12_800, 42_000),
        Case("resnet8", (3, 32, 32), 6_400, 35_000),
        Case("alexnet", (3, 67, 67), 3_200, 35_000),
    )
}


class RandomImages(ImageData):
    """So many training images of a shape, ten classes."""

    num_classes = 10

    def __init__(self, case: Case, options: DataOptions | None = None) -> None:
        super().__init__(options)
        generator = torch.Generator().manual_seed(0)
        shape = (case.images, *case.shape)
        images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        labels = torch.randint(0, 10, (case.images,), generator=generator)
        few = LabelledImages(images[:128], labels[:128])
        self.train, self.validation, self.test = LabelledImages(images, labels), few, few

    def load(self) -> tuple[ImagePart, ImagePart]:
        """Return what is there already."""
        return self.train, self.test


def prepared(case: Case) -> tuple[Context, ModelSpec]:
    """Return the network on random images, and set as many threads as `search.run` does."""
    spec = replace(MODELS.get(case.model), normalize=False)
    context = Context(model=spec, data=RandomImages(case), seed=0)
    torch.set_num_threads(default_threads(context.build_network()))
    return context, spec


def plain_epoch_seconds(case: Case) -> float:
    """Return the wall seconds of an epoch of the floor, the second of two."""
    context, spec = prepared(case)
    plain_epochs(context, case, spec.batch_size, spec.lr)
    return seconds(lambda: plain_epochs(context, case, spec.batch_size, spec.lr)) / case.epochs


def floor_seconds(case: Case) -> float:
    """Return the wall seconds of an epoch of the floor, trained in a new process."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process:
        return process.submit(plain_epoch_seconds, case).result()


def plain_epochs(context: Context, case: Case, batch_size: int, lr: float) -> None:
    """Train as a plain loop does."""
    data = context.data
    assert isinstance(data, RandomImages)
    network = context.build_network().train().to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stub lacks it
    optimizer = torch.optim.Adam(network.parameters(), lr=lr, fused=True)
    for _ in range(case.epochs):
        for index in torch.randperm(case.images).split(batch_size):
            images, labels = data.train[index]
            loss = functional.cross_entropy(network(data.prepare(images, augment=False)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def seconds(work: Callable[[], object]) -> float:
    """Return the wall seconds of `work`."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ramp(case: Case, spec: ModelSpec) -> float:
    """Return the ramp that renews masks as often per step as the model's own fine-tuning does.

    That has a hundred renewals in its epochs; here they are as near to each other as they can be.
    """
    steps = spec.epochs * case.all_images / spec.batch_size
    return MASK_UPDATES * FEWEST_STEPS_BETWEEN_UPDATES / steps


def ratios(case: Case, repeats: int) -> dict[str, list[float]]:
    """Return the ratios of each pair, one for each repeat, and the seconds of the floor."""
    context, spec = prepared(case)
    batch_size, lr, epochs = spec.batch_size, spec.lr, case.epochs
    prune = WeightPruning(
        sparsity=0.9, ramp=ramp(case, spec), epochs=epochs, batch_size=batch_size, lr=lr
    )
    qat = Quantization(
        bits=8, qat_epochs=epochs, calibration_images=128, batch_size=batch_size, lr=lr
    )
    state = NetworkState(weights=copy_weights(context.build_network()))

    def ours(precision: MixedPrecision) -> None:
        network = context.build_network()
        given = replace(context, recipe=Recipe(mixed_precision=precision))
        train_(network, given, stage="train", epochs=epochs, batch_size=batch_size, lr=lr)

    names = ("floor s", "train", "prune", "QAT", "bf16")
    found: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(repeats + 1):
        floor = floor_seconds(case)
        trained = seconds(lambda: ours("none"))
        pruned = seconds(lambda: prune.apply(state, context))
        quantized = seconds(lambda: qat.apply(state, context))
        in_bf16 = seconds(lambda: ours("bf16"))
        if repeat > 0:  # the first one prepares kernels and memory
            found["floor s"].append(floor)
            found["train"].append(trained / case.epochs / floor)
            found["prune"].append(pruned / trained)
            found["QAT"].append(quantized / trained)
            found["bf16"].append(in_bf16 / trained)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=list(CASES), metavar="MODEL")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()

    def told(values: list[float]) -> str:
        return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"

    rows = [
        [name, *(told(values) for values in ratios(CASES[name], options.repeats).values())]
        for name in options.models
    ]
    headers = ["model", "floor, s/epoch", "train / floor"]
    headers += ["prune / train", "QAT / train", "bf16 / train"]
    print(tabulate(rows, headers, "pipe", disable_numparse=True))


if __name__ == "__main__":
    main()
