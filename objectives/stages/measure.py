"""Measure: read accuracy, size and latency off the artifact with ONNX Runtime.

Nothing here sees the PyTorch network. The session is ONNX Runtime's default (graph fusions on) on
the CPU, as a user would run the file; latency is that of one thread.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import ModelProto, numpy_helper

from models.data_source import DataSource, Part
from objectives.energy import estimate_energy_uj
from objectives.errors import MeasurementError
from objectives.sizes import gzip_bytes
from objectives.stages.export import INPUT_NAME, OUTPUT_NAME
from objectives.stored_weights import StoredWeights

WARM_UP_RUNS = 10
LATENCY_RUNS = 200
FEWEST_LATENCY_RUNS = 20
LATENCY_SECONDS = 3.0
"""A large network is run fewer times, but at least 20."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one ONNX file is."""

    val_accuracy_pct: float
    """Accuracy on the validation part, percent."""
    test_accuracy_pct: float
    """Accuracy on the test part, percent."""
    artifact_bytes: int
    """Size after gzip level 6 without time or file name in the header."""
    artifact_raw_bytes: int
    """Size of the file."""
    container_bytes: int | None = None
    """Size of its container; None where none was made."""
    ships_container: bool = False
    """Whether the container is what is shipped."""
    latency_ms: float
    """Median milliseconds of one input on one thread."""
    latency_iqr_ms: float
    """Spread of that: 75th minus 25th percentile."""
    energy_uj: float | None
    """Estimated microjoules of one input; see `objectives.energy`."""
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


def measure_file(path: Path, data: DataSource) -> Measurement:
    """Measure the artifact at `path` on the validation and test parts of `data`.

    Raises:
        MeasurementError: ONNX Runtime cannot run the file, or it gives logits that are not finite.
    """
    try:
        val_accuracy_pct, test_accuracy_pct = _accuracies(path, data)
        latency_ms, latency_iqr_ms = _latency(path, data)
    except MeasurementError as err:
        raise MeasurementError(f"{path.name}: {err}") from err
    content = path.read_bytes()
    model = onnx.load_from_string(content)
    return Measurement(
        val_accuracy_pct=val_accuracy_pct,
        test_accuracy_pct=test_accuracy_pct,
        artifact_bytes=gzip_bytes(content),
        artifact_raw_bytes=len(content),
        latency_ms=latency_ms,
        latency_iqr_ms=latency_iqr_ms,
        energy_uj=estimate_energy_uj(model),
        nonzero_weights=count_weights(model),
    )


def open_session(path: Path, *, threads: int) -> onnxruntime.InferenceSession:
    """Open `path` as a user would."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as err:  # ONNX Runtime's exceptions share no base class
        raise MeasurementError(f"ONNX Runtime cannot open it: {err}") from err


def _accuracies(path: Path, data: DataSource) -> tuple[float, float]:
    """Return the percentages of validation and test that are right, on all of torch's threads."""
    session = open_session(path, threads=torch.get_num_threads())
    return accuracy_pct(session, data, "validation"), accuracy_pct(session, data, "test")


def accuracy_pct(session: onnxruntime.InferenceSession, data: DataSource, part: Part) -> float:
    """Return the percentage of inputs of `part` whose largest logit is that of their class."""
    correct, count = 0, 0
    for inputs, labels in data.batches(part):
        (logits,) = session.run([OUTPUT_NAME], {INPUT_NAME: inputs.numpy()})
        if not np.isfinite(logits).all():
            raise MeasurementError("its logits are not all finite.")
        correct += int((logits.argmax(axis=1) == labels.numpy()).sum())
        count += len(labels)
    if count == 0:
        raise MeasurementError(f"the {part} part is empty.")
    return 100 * correct / count


def _latency(path: Path, data: DataSource) -> tuple[float, float]:
    """Return median and interquartile range of the milliseconds of one input on one thread."""
    session = open_session(path, threads=1)
    example = data.training_inputs(1).numpy()
    milliseconds: list[float] = []
    began = time.perf_counter()
    while len(milliseconds) < WARM_UP_RUNS + LATENCY_RUNS:
        start = time.perf_counter()
        session.run([OUTPUT_NAME], {INPUT_NAME: example})
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
        values = numpy_helper.to_array(stored.tensor)
        if stored.codebook is not None:
            values = numpy_helper.to_array(stored.codebook)[values.astype(np.int64)]
        zero: np.ndarray | int = 0
        if stored.zero_point is not None:
            zero = _broadcast(numpy_helper.to_array(stored.zero_point), values.ndim)
        counts[stored.tensor.name] = int((values != zero).sum()), int(values.size)
    return counts


def _broadcast(per_channel: np.ndarray, dimensions: int) -> np.ndarray:
    if per_channel.ndim == 0:
        return per_channel
    return per_channel.reshape(-1, *[1] * (dimensions - 1))
