"""What pays in time: `python -m benchmarks.structured --data folder:PATH [--network NAME ...]`.

Small networks on CIFAR-10 lose channels, width, rank, n of m weights, or single weights, are
fine-tuned, and are written in floats and at 8 bits (rounded after training) for each runtime. All
files of a runtime answer one image at a time on one thread, in turn. Printed are bytes after gzip
and accuracy on test of the ONNX files, and of each runtime's files medians of milliseconds, with
times the speed of the untouched network in floats; * marks files of a runtime's front: none is
smaller, faster and more accurate on validation at once. One seed. TensorFlow Lite Micro is left
out: it runs LiteRT's 8-bit files, and on this CPU takes minutes to answer all images.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tabulate import tabulate
from torch import nn
from torchvision.models.mobilenetv2 import InvertedResidual

from benchmarks.runtimes import milliseconds_in_turn
from models.data_source import DataOptions
from models.registry import MODELS, ModelSpec
from models.resolve import resolve_data
from objectives.cache.stage_cache import StageCache
from objectives.context import Context
from objectives.errors import MeasurementError
from objectives.pipeline import Pipeline
from objectives.plan import Plan
from objectives.recipe import Recipe
from objectives.result import Result
from objectives.runtimes import NAMES, runtime_named
from objectives.stages.base import FineTuned
from objectives.stages.channels import ChannelRemoval
from objectives.stages.factorize import Factorization
from objectives.stages.n_m import GroupPruning
from objectives.stages.prune import WeightPruning
from objectives.stages.quantize import IntegerRule, Quantization
from objectives.stages.train import BaselineTraining
from objectives.stages.width import WidthMultiplier

METHODS: dict[str, tuple[type[FineTuned], tuple[dict[str, float], ...]]] = {
    "channels": (ChannelRemoval, ({"share": 0.75}, {"share": 0.5}, {"share": 0.25})),
    "width": (WidthMultiplier, ({"width": 0.75}, {"width": 0.5}, {"width": 0.25})),
    "factorize": (Factorization, ({"energy": 0.9}, {"energy": 0.7}, {"energy": 0.5})),
    "n_m": (GroupPruning, ({"n": 2, "m": 4}, {"n": 1, "m": 4})),
    "prune": (WeightPruning, ({"sparsity": 0.5}, {"sparsity": 0.9})),
}
"""Each method with how much of it."""
EPOCHS = 12, 3
"""Of the baseline, and of fine-tuning."""
TRAIN, TEST = 0.3, 0.1
"""Shares of the images that are used."""
BATCH, RATE = 128, 2e-3
RUNTIMES = [name for name in NAMES if name != "tflite-micro"]


def mobilenet(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Return a MobileNetV2 of a quarter's width, without its last layer: 52,002 parameters."""
    channels = 8
    layers: list[nn.Module] = [nn.Conv2d(input_shape[0], channels, 3, padding=1, bias=False)]
    layers += [nn.BatchNorm2d(channels), nn.ReLU6()]
    for outputs, blocks, stride in ((8, 1, 1), (12, 2, 2), (16, 3, 2), (24, 3, 2), (40, 1, 1)):
        for index in range(blocks):
            step = stride if index == 0 else 1
            layers.append(InvertedResidual(channels, outputs, step, expand_ratio=6))
            channels = outputs
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes)]
    return nn.Sequential(*layers)


NETWORKS: dict[str, Callable[[tuple[int, ...], int], nn.Module]] = {
    "resnet8": MODELS.get("resnet8").build,
    "mobilenet": mobilenet,
}


@dataclass(frozen=True)
class Made:
    """One file of one runtime."""

    method: str
    bits: int
    result: Result
    file: Path


def plans(epochs: int, tuned: int) -> dict[str, Plan]:
    """Return each method's plans in floats, and first that of nothing."""
    train = BaselineTraining(epochs=epochs, batch_size=BATCH, lr=RATE)
    nothing = WeightPruning(epochs=tuned, batch_size=BATCH, lr=RATE)
    floats = Quantization(bits=32, qat_epochs=0, batch_size=BATCH, lr=RATE)
    whole = Plan.of(train, nothing, floats, recipe=Recipe(lr_decay="cosine"))
    found = {"none": whole}
    for method, amounts in METHODS.values():
        # Another width is another network: trained as long as the baseline and its fine-tuning.
        passes = epochs + tuned if method is WidthMultiplier else tuned
        for amount in amounts:
            stage = method(epochs=passes, batch_size=BATCH, lr=RATE, **amount)
            plan = whole.without("masking") if stage.kind == "masking" else whole
            found[stage.told] = plan.with_stages(stage)
    return found


def quantized(plan: Plan, *, integers: bool) -> Plan:
    """Return the plan at 8 bits, which computes on integers everywhere or where that is faster."""
    rule: IntegerRule = "everywhere" if integers else "fast"
    stage = Quantization(bits=8, qat_epochs=0, batch_size=BATCH, lr=RATE, integers=rule)
    return plan.with_stages(stage)


def made_for(name: str, context: Context, cache: StageCache, folder: Path) -> list[Made]:
    """Return the files of each plan for the runtime called `name`; what it cannot run is told."""
    runtime, found = runtime_named(name), []
    pipeline = Pipeline(context, cache, folder / f"{name}-baseline.onnx", runtime=runtime)
    for number, (method, plan) in enumerate(plans(*EPOCHS).items()):
        for bits in (32, 8):
            file = folder / f"{name}-{number}-{bits}.onnx"
            whole = plan if bits == 32 else quantized(plan, integers=runtime.all_on_integers)
            try:
                result = pipeline.run(whole, file)
            except MeasurementError as err:
                print(f"{name}, {method}, {bits} bits: {err}", file=sys.stderr)
                continue
            found.append(Made(method, bits, result, file.with_suffix(runtime.suffix)))
    return found


@dataclass(frozen=True)
class Timed:
    """One file beside the others of its runtime."""

    made: Made
    ms: float
    on_front: bool


def timed(name: str, made: Sequence[Made], context: Context) -> list[Timed]:
    """Return the files of the runtime called `name`, timed in turn."""
    runtime = runtime_named(name)
    opened = {
        str(number): runtime.open(each.file, context.data, threads=1)
        for number, each in enumerate(made)
    }
    taken = list(milliseconds_in_turn(opened, context.data).values())
    weighed = [
        (each.result.measurement.uncoded_bytes, ms, -each.result.measurement.val_score)
        for each, ms in zip(made, taken, strict=True)
    ]
    return [
        Timed(each, ms, not any(is_beaten(mine, other) for other in weighed))
        for each, ms, mine in zip(made, taken, weighed, strict=True)
    ]


def rows(network: str, found: Mapping[str, Sequence[Timed]]) -> list[list[str]]:
    """Return a row for each method: bytes and accuracy of its files, then times by runtime.

    Args:
        network: Its name.
        found: By runtime its files.
    """
    first = found["onnxruntime"]
    methods = list(dict.fromkeys(each.made.method for each in first))
    table = []
    for method in methods:
        cells = [network, method]
        for bits in (32, 8):
            measured = _one(first, method, bits).made.result.measurement
            cells += [f"{measured.uncoded_bytes:,}", f"{measured.test_score:.1f}"]
        for files in found.values():
            before = _one(files, methods[0], 32).ms
            for bits in (32, 8):
                each = _one(files, method, bits)
                star = "*" if each.on_front else ""
                cells.append(f"{each.ms:.3f} ({before / each.ms:.2f}){star}")
        table.append(cells)
    return table


def _one(files: Sequence[Timed], method: str, bits: int) -> Timed:
    return next(each for each in files if (each.made.method, each.made.bits) == (method, bits))


def is_beaten(mine: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Return whether `other` is nowhere more and somewhere less."""
    return other != mine and all(b <= a for a, b in zip(mine, other, strict=True))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=NETWORKS, action="append")
    parser.add_argument("--data", default="cifar10", help="as search.run takes it")
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--cache", type=Path, help="where trained networks are kept")
    chosen = parser.parse_args()
    options = DataOptions(
        root=chosen.data_root,
        train_fraction=TRAIN,
        test_fraction=TEST,
        augment="crop-flip",
    )
    data = resolve_data(chosen.data, options)
    data.setup()
    torch.set_num_threads(1)
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        cache = StageCache(chosen.cache or Path(scratch) / "cache")
        for network in chosen.network or NETWORKS:
            spec = ModelSpec(build=NETWORKS[network], data=chosen.data, normalize=True)
            context = Context(model=spec, data=data, seed=0)
            folder = Path(scratch) / network
            folder.mkdir()
            by_runtime = {}
            for name in RUNTIMES:
                made = made_for(name, context, cache, folder)
                by_runtime[name] = timed(name, made, context)
            found += rows(network, by_runtime)
    headers = ["network", "method", "bytes, 32 bits", "test %", "8 bits", "test %"]
    titles = [runtime_named(name).title for name in RUNTIMES]
    headers += [f"{title}, {bits}" for title in titles for bits in (32, 8)]
    print(tabulate(found, headers, "pipe", disable_numparse=True))


if __name__ == "__main__":
    main()
