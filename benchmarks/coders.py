"""Coders of given integers side by side: `python -m benchmarks.coders --data-root data`.

LeNet-300-100, LeNet-5 and the CNN are trained on MNIST for a few epochs. Their weights, without
biases, are rounded to so many levels at uniform steps, dense ones as they are, sparse ones after
pruning over all layers and training on. Each coder gets the same integers, and nothing but what
stands for them is counted: no graph, no scales, no file around it.

    ours      the stream of a container that has these tensors, one after the other
    NNCodec   the bytes of its CABAC encoder without headers, each tensor by the best of 5 scan
              orders, 2 profiles and 3 lengths of unary codes
    LZMA      of the tensors as int8, one behind the other; brotli, if it is there, likewise
    entropy   no coder: what each tensor takes if its integers are drawn independently, each as
              often as it occurs, which is known for nothing; less is won by what depends

NNCodec is the reference of ISO/IEC 15938-17 (Becking et al. 2023). It asks for an older numpy than
ours, so install it elsewhere, which takes g++, and name the folder; else it has no column:

    pip install --no-deps --target /tmp/nncodec nncodec
    python -m benchmarks.coders --nncodec /tmp/nncodec
"""

import argparse
import importlib.util
import itertools
import lzma
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tabulate import tabulate
from torch import nn
from torch.nn import functional

from benchmarks.figures.files import data_of
from models.data_source import DataSource
from models.images import ImageData
from models.pixels import to_pixels
from models.registry import MODELS
from objectives.container.payloads import SIGNED, Payload
from objectives.container.solid.stream import Stream
from objectives.container.solid.weights import Weights

NETWORKS = ("lenet300", "lenet5", "cnn")
LEVELS = (13, 25, 49)
DENSITIES = (0.2, 0.05, 0.02)
SPARSE_BITS = (4, 6, 8)
Tensors = list[np.ndarray]


class Coded(NamedTuple):
    """What a coder took."""

    size_bytes: int
    encode_seconds: float = 0
    decode_seconds: float = 0


def ours(tensors: Tensors) -> Coded:
    """Code int8 tensors as a container does."""
    payloads = [
        Payload(len(each), each[0].size, 8, SIGNED, each.shape[-1] if each.ndim > 2 else 0)
        for each in tensors
    ]
    start = time.perf_counter()
    stream = Stream()
    weights = Weights(stream)
    for each, payload in zip(tensors, payloads, strict=True):
        weights.encode(each.tobytes(), payload, may_be_plain=True)
    content = stream.finish()
    middle = time.perf_counter()
    decoder = Weights(Stream(content))
    found = [decoder.decode(payload) for payload in payloads]
    end = time.perf_counter()
    assert found == [each.tobytes() for each in tensors]
    return Coded(len(content), middle - start, end - middle)


def nncodec_of(folder: Path) -> Callable[[Tensors], Coded]:
    """Return NNCodec's coder; its package is not imported, as that needs an older numpy."""
    (file,) = folder.glob("nncodec/extensions/deepCABAC*.so")
    spec = importlib.util.spec_from_file_location("deepCABAC", file)
    assert spec is not None
    assert spec.loader is not None
    library: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(library)
    off = library.HdspMode.AlwaysOff, np.zeros(2, np.int8)

    def one(tensor: np.ndarray, order: int, profile: int, unary: int) -> Coded:
        skipped = np.array([not row.any() for row in tensor], np.int32)
        start = time.perf_counter()
        encoder = library.Encoder()
        encoder.initCtxModels(unary, 1)  # 1: parameters are optimized, its default
        encoder.encodeLayer(tensor, 0, order, profile, 0, profile, skipped, *off, 0, 0)
        size = len(encoder.finish())
        return Coded(size, time.perf_counter() - start)

    def code(tensors: Tensors) -> Coded:
        ways = list(itertools.product(range(5), (0, 1), (2, 10, 20)))
        best = [
            min(one(np.ascontiguousarray(each, np.int32), *way) for way in ways)
            for each in tensors
        ]
        return Coded(sum(each.size_bytes for each in best), sum(each[1] for each in best))

    return code


def bytewise(compress: Callable[[bytes], bytes]) -> Callable[[Tensors], Coded]:
    """Return a coder of bytes as one of tensors."""
    return lambda tensors: Coded(len(compress(b"".join(each.tobytes() for each in tensors))))


def entropy(tensors: Tensors) -> Coded:
    """Return what independent integers of known frequencies take."""
    return Coded(round(sum(map(entropy_bits, tensors)) / 8))


def entropy_bits(integers: NDArray[Any]) -> float:
    """Return the bits of independent integers of known frequencies."""
    counts = np.unique(integers, return_counts=True)[1]
    return -float((counts * np.log2(counts / counts.sum())).sum())


def cases(data: DataSource, epochs: int) -> Iterator[tuple[str, str, Tensors]]:
    """Yield network, kind and integers."""
    for name in NETWORKS:
        torch.manual_seed(0)
        network = MODELS.get(name).build((1, 28, 28), 10)
        weights = [each for each in network.parameters() if each.dim() > 1]
        _train(network, data, epochs, [])
        for levels in LEVELS:
            yield name, f"dense, {levels} levels", [_rounded(each, levels) for each in weights]
        for density in DENSITIES:
            sizes = torch.cat([(each.abs() / each.std()).flatten() for each in weights])
            least = sizes.kthvalue(round(len(sizes) * (1 - density))).values
            masks = [(each, each.abs() / each.std() > least) for each in weights]
            _train(network, data, 1, masks)
            for bits in SPARSE_BITS:
                integers = [_rounded(each, 2**bits - 1) for each in weights]
                yield name, f"{density:.0%} left, {bits} bits", integers


def _rounded(weight: torch.Tensor, levels: int) -> np.ndarray:
    step = weight.abs().max() / (levels // 2)
    integers: np.ndarray = torch.round(weight / step).to(torch.int8).detach().numpy()
    return integers


def _train(
    network: nn.Module,
    data: DataSource,
    epochs: int,
    masks: list[tuple[nn.Parameter, torch.Tensor]],
) -> None:
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    assert isinstance(data, ImageData)
    for _ in range(epochs):
        for batch in torch.randperm(len(data.train.labels)).split(128):
            images, labels = data.train[batch]
            loss = functional.cross_entropy(network(to_pixels(images)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for weight, mask in masks:
                    weight.mul_(mask)


def _mean(ratios: Sequence[float]) -> str:
    """Return the geometric mean and the range of ratios."""
    return f"{np.exp(np.mean(np.log(ratios))):.3f} ({min(ratios):.3f}-{max(ratios):.3f})"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path, default=Path("data"), help="has MNIST")
    parser.add_argument("--epochs", type=int, default=3, help="before weights are rounded")
    parser.add_argument("--nncodec", type=Path, help="folder that NNCodec was installed into")
    options = parser.parse_args(argv)
    coders: dict[str, Callable[[Tensors], Coded]] = {"ours": ours}
    if options.nncodec:
        coders["NNCodec"] = nncodec_of(options.nncodec)
    coders["LZMA"] = bytewise(lambda content: lzma.compress(content, preset=9))
    if importlib.util.find_spec("brotli"):
        coders["brotli"] = bytewise(importlib.import_module("brotli").compress)
    coders["entropy"] = entropy
    ours([np.ones((20, 20), np.int8)])  # compiles
    rows = []
    measured: dict[str, list[tuple[Coded, int]]] = {name: [] for name in coders}
    for network, kind, tensors in cases(data_of(options.data_root), options.epochs):
        for name, coder in coders.items():
            coded = coder(tensors)
            measured[name].append((coded, sum(each.size for each in tensors)))
        sizes = [measured[name][-1][0].size_bytes for name in coders]
        ratio = f"{sizes[0] / sizes[1]:.3f}"
        rows.append([network, kind, *(f"{size:,}" for size in sizes), ratio])
    print(tabulate(rows, ["network", "weights", *coders, "ours / next"], "pipe"))
    for name in list(coders)[1:]:
        pairs = zip(measured["ours"], measured[name], strict=True)
        print(f"ours / {name}:", _mean([a[0].size_bytes / b[0].size_bytes for a, b in pairs]))
    for name in list(coders)[:2]:
        total = sum(count for _, count in measured[name]) / 1e6
        seconds = [sum(coded[place] for coded, _ in measured[name]) / total for place in (1, 2)]
        print(f"{name}: {seconds[0]:.2f} and {seconds[1]:.2f} s for a million weights and back")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
