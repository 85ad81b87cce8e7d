"""Measure: read score, size, latency and memory off a file with a runtime.

Nothing here sees the PyTorch network. The runtime (`objectives.runtimes`) is as a user would have
it, on the CPU; latency is that of one thread.
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import ModelProto

from models.data_source import DataSource
from objectives.artifact.energy import estimate_energy_uj
from objectives.artifact.sizes import gzip_bytes
from objectives.artifact.stored_weights import StoredWeights
from objectives.errors import MeasurementError
from objectives.runtimes import runtime_of
from objectives.runtimes.base import Runtime
from objectives.score.accuracy import ACCURACY
from objectives.score.alike import answers_alike
from objectives.score.base import Score
from objectives.score.file_network import FileNetwork, feeds_for

WARM_UP_RUNS = 10
LATENCY_RUNS = 200
FEWEST_LATENCY_RUNS = 20
LATENCY_SECONDS = 3.0
"""A large network is run fewer times, but at least 20."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMeasurement:
    """What any file is."""

    val_score: float
    """Score on the validation part, percent where it is a share, as accuracy is."""
    test_score: float
    """The same on the test part."""
    artifact_bytes: int
    """Size after gzip level 6 without time or file name in the header."""
    artifact_raw_bytes: int
    """Size of the file, with those beside it that hold its weights."""
    latency_ms: float
    """Median milliseconds of one input on one thread."""
    latency_iqr_ms: float
    """Spread of that: 75th minus 25th percentile."""
    ram_bytes: int | None = None
    """Bytes of memory that running it takes, as its runtime tells; None where nobody asked."""
    constant_answers: bool = False
    """Whether it answers every input of the validation part the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement(FileMeasurement):
    """What one artifact is."""

    container_bytes: int | None = None
    """Size of its container; None where none was made."""
    container_coder: str | None = None
    """What coded it, one of `objectives.container.coders`."""
    ships_container: bool = False
    """Whether the container is what is shipped."""
    energy_uj: float | None
    """Estimated microjoules of one input; see `objectives.artifact.energy`."""
    nonzero_weights: dict[str, tuple[int, int]]
    """Non-zero and all weights of each layer, as stored."""

    ships_raw: bool = False
    """Whether the file lies in memory as it is, and its size there is what counts."""

    @property
    def uncoded_bytes(self) -> int:
        """Size of the file without a coder of ours: after gzip, or as it is where that counts."""
        return self.artifact_raw_bytes if self.ships_raw else self.artifact_bytes

    @property
    def shipped_bytes(self) -> int:
        """Size of what is shipped: the container, or the file after gzip, or as it is."""
        if self.ships_container:
            assert self.container_bytes is not None
            return self.container_bytes
        return self.uncoded_bytes

    @property
    def measured_sparsity(self) -> float:
        """Share of the layers' weights that the file stores as zero."""
        nonzero = sum(count for count, _ in self.nonzero_weights.values())
        return 1 - nonzero / sum(total for _, total in self.nonzero_weights.values())


def measure_file(
    path: Path,
    data: DataSource,
    score: Score = ACCURACY,
    runtime: Runtime | None = None,
    *,
    with_ram: bool = False,
) -> Measurement:
    """Measure the artifact at `path` on the validation and test parts of `data`.

    Args:
        path: What the runtime runs; of another than ONNX Runtime our file lies beside it.
        data: What it answers.
        score: What it is scored by.
        runtime: What runs it; if None the one that its name says.
        with_ram: Whether its memory is measured even where that takes a process of its own.

    Raises:
        MeasurementError: The runtime cannot run the file, or its answers cannot be scored.
    """
    runtime = runtime or runtime_of(path)
    try:
        measured = measure_any(path, data, score, runtime, with_ram=with_ram)
    except MeasurementError as err:
        raise MeasurementError(f"{path.name}: {err}") from err
    model = onnx.load(path.with_suffix(".onnx"))
    feeds = feeds_for([each.name for each in model.graph.input], data.training_inputs(1))
    shapes = {name: each.shape for name, each in feeds.items()}
    return Measurement(
        **asdict(measured),
        energy_uj=estimate_energy_uj(model, shapes),
        nonzero_weights=count_weights(model),
        ships_raw=runtime.counts_raw,
    )


def measure_any(
    path: Path,
    data: DataSource,
    score: Score = ACCURACY,
    runtime: Runtime | None = None,
    *,
    with_ram: bool = False,
) -> FileMeasurement:
    """Measure a file from anywhere; see `objectives.score.file_network` for what it must be.

    Args:
        path: The file.
        data: What it answers.
        score: What it is scored by.
        runtime: What runs it; if None the one that its name says.
        with_ram: Whether its memory is measured even where that takes a process of its own.

    Raises:
        MeasurementError: It cannot be run on such data; the text does not name the file.
        BadInputError: The runtime is not installed.
    """
    runtime = runtime or runtime_of(path)
    on_all_threads = runtime.open(path, data, threads=torch.get_num_threads())
    latency_ms, latency_iqr_ms = _latency(runtime.open(path, data, threads=1), data)
    content = runtime.content(path)
    asked = with_ram or runtime.plans_memory
    return FileMeasurement(
        val_score=score.of_file(on_all_threads, data, "validation"),
        test_score=score.of_file(on_all_threads, data, "test"),
        artifact_bytes=gzip_bytes(content),
        artifact_raw_bytes=len(content),
        latency_ms=latency_ms,
        latency_iqr_ms=latency_iqr_ms,
        ram_bytes=runtime.ram_bytes(path, data) if asked else None,
        constant_answers=answers_alike(on_all_threads, data, "validation", score),
    )


def _latency(file: FileNetwork, data: DataSource) -> tuple[float, float]:
    """Return median and interquartile range of the milliseconds of one input."""
    example = file.feeds(data.training_inputs(1))
    milliseconds: list[float] = []
    began = time.perf_counter()
    while len(milliseconds) < WARM_UP_RUNS + LATENCY_RUNS:
        start = time.perf_counter()
        file.answer(example)
        milliseconds.append(1000 * (time.perf_counter() - start))
        enough = len(milliseconds) >= WARM_UP_RUNS + FEWEST_LATENCY_RUNS
        if enough and time.perf_counter() - began > LATENCY_SECONDS:
            break
    low, median, high = np.percentile(milliseconds[WARM_UP_RUNS:], [25, 50, 75])
    return float(median), float(high - low)


def count_weights(model: ModelProto) -> dict[str, tuple[int, int]]:
    """Return (non-zero, all) stored weights of each layer, by the weight's name.

    An integer or a code that stands for 0 counts as 0.
    """
    stored_weights = StoredWeights(model.graph)
    counts = {}
    for node in model.graph.node:
        stored = stored_weights.weight_of(node)
        if stored is None:
            continue
        numbers = stored.numbers()
        counts[stored.tensor.name] = int(np.count_nonzero(numbers)), int(numbers.size)
    return counts
