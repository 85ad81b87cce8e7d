"""Measure: read score, size and latency off a file with ONNX Runtime.

Nothing here sees the PyTorch network. The session is ONNX Runtime's default (graph fusions on) on
the CPU, as a user would run the file; latency is that of one thread.
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
from objectives.artifact.opened import TFLITE, open_network
from objectives.artifact.sizes import gzip_bytes
from objectives.artifact.stored_weights import StoredWeights
from objectives.errors import MeasurementError
from objectives.score.accuracy import ACCURACY
from objectives.score.base import Score
from objectives.score.file_network import FileNetwork, feeds_for

WARM_UP_RUNS = 10
LATENCY_RUNS = 200
FEWEST_LATENCY_RUNS = 20
LATENCY_SECONDS = 3.0
"""A large network is run fewer times, but at least 20."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMeasurement:
    """What any ONNX file is."""

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

    @property
    def shipped_bytes(self) -> int:
        """Size of what is shipped: the container, or the file after gzip."""
        if self.ships_container:
            assert self.container_bytes is not None
            return self.container_bytes
        return self.artifact_bytes

    @property
    def measured_sparsity(self) -> float:
        """Share of the layers' weights that the file stores as zero."""
        nonzero = sum(count for count, _ in self.nonzero_weights.values())
        return 1 - nonzero / sum(total for _, total in self.nonzero_weights.values())


def measure_file(path: Path, data: DataSource, score: Score = ACCURACY) -> Measurement:
    """Measure the artifact at `path` on the validation and test parts of `data`.

    Raises:
        MeasurementError: ONNX Runtime cannot run the file, or its answers cannot be scored.
    """
    try:
        measured = measure_any(path, data, score)
    except MeasurementError as err:
        raise MeasurementError(f"{path.name}: {err}") from err
    model = onnx.load(path)
    feeds = feeds_for([each.name for each in model.graph.input], data.training_inputs(1))
    shapes = {name: each.shape for name, each in feeds.items()}
    return Measurement(
        **asdict(measured),
        energy_uj=estimate_energy_uj(model, shapes),
        nonzero_weights=count_weights(model),
    )


def measure_any(path: Path, data: DataSource, score: Score = ACCURACY) -> FileMeasurement:
    """Measure a file from anywhere; see `objectives.score.file_network` for what it must be.

    Raises:
        MeasurementError: It cannot be run on such data; the text does not name the file.
    """
    on_all_threads = open_network(path, data, threads=torch.get_num_threads())
    latency_ms, latency_iqr_ms = _latency(open_network(path, data, threads=1), data)
    content = path.read_bytes() if path.suffix == TFLITE else _content(path)
    return FileMeasurement(
        val_score=score.of_file(on_all_threads, data, "validation"),
        test_score=score.of_file(on_all_threads, data, "test"),
        artifact_bytes=gzip_bytes(content),
        artifact_raw_bytes=len(content),
        latency_ms=latency_ms,
        latency_iqr_ms=latency_iqr_ms,
    )


def _content(path: Path) -> bytes:
    """Return the bytes of the file, and of those beside it that it keeps weights in."""
    content = path.read_bytes()
    places = {
        entry.value
        for tensor in onnx.load_from_string(content).graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return content + b"".join((path.parent / place).read_bytes() for place in sorted(places))


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
