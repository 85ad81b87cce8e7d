"""Measure: read accuracy, size and latency off the artifact with ONNX Runtime.

Nothing here sees the PyTorch network. The session is ONNX Runtime's default (graph fusions on) on
one thread of the CPU, as a user would run the file.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, NodeProto, numpy_helper

from models.images import ImageData, LabelledImages, batches, to_pixels
from objectives.errors import MeasurementError
from objectives.sizes import gzip_bytes
from objectives.stages.export import INPUT_NAME, OUTPUT_NAME

EVALUATION_BATCH = 500
WARM_UP_RUNS = 20
LATENCY_RUNS = 200


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
    latency_ms: float
    """Median milliseconds of one image on one thread."""
    latency_iqr_ms: float
    """Spread of that: 75th minus 25th percentile."""
    nonzero_weights: dict[str, tuple[int, int]]
    """Non-zero and all weights of each layer, as stored."""

    @property
    def measured_sparsity(self) -> float:
        """Share of the layers' weights that the file stores as zero."""
        nonzero = sum(count for count, _ in self.nonzero_weights.values())
        return 1 - nonzero / sum(total for _, total in self.nonzero_weights.values())


def measure_file(path: Path, data: ImageData) -> Measurement:
    """Measure the artifact at `path` on the validation and test parts of `data`.

    Raises:
        MeasurementError: ONNX Runtime cannot run the file, or it gives logits that are not finite.
    """
    content = path.read_bytes()
    try:
        session = open_session(path)
        latency_ms, latency_iqr_ms = _latency(session, data.input_shape)
        return Measurement(
            val_accuracy_pct=accuracy_pct(session, data.validation),
            test_accuracy_pct=accuracy_pct(session, data.test),
            artifact_bytes=gzip_bytes(content),
            artifact_raw_bytes=len(content),
            latency_ms=latency_ms,
            latency_iqr_ms=latency_iqr_ms,
            nonzero_weights=count_weights(onnx.load_from_string(content)),
        )
    except MeasurementError as err:
        raise MeasurementError(f"{path.name}: {err}") from err


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """Open `path` as a user would, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as err:  # ONNX Runtime's exceptions share no base class
        raise MeasurementError(f"ONNX Runtime cannot open it: {err}") from err


def accuracy_pct(session: onnxruntime.InferenceSession, part: LabelledImages) -> float:
    """Return the percentage of images of `part` whose largest logit is that of their class."""
    correct = 0
    for images, labels in batches(part, EVALUATION_BATCH):
        (logits,) = session.run([OUTPUT_NAME], {INPUT_NAME: to_pixels(images).numpy()})
        if not np.isfinite(logits).all():
            raise MeasurementError("its logits are not all finite.")
        correct += int((logits.argmax(axis=1) == labels.numpy()).sum())
    return 100 * correct / len(part)


def _latency(
    session: onnxruntime.InferenceSession, input_shape: tuple[int, int, int]
) -> tuple[float, float]:
    """Return median and interquartile range of the milliseconds that one image takes."""
    image = {INPUT_NAME: np.zeros((1, *input_shape), np.float32)}
    for _ in range(WARM_UP_RUNS):
        session.run([OUTPUT_NAME], image)
    milliseconds = []
    for _ in range(LATENCY_RUNS):
        start = time.perf_counter()
        session.run([OUTPUT_NAME], image)
        milliseconds.append(1000 * (time.perf_counter() - start))
    low, median, high = np.percentile(milliseconds, [25, 50, 75])
    return float(median), float(high - low)


def count_weights(model: ModelProto) -> dict[str, tuple[int, int]]:
    """Return (non-zero, all) stored weights of each Conv and Gemm, by the weight's name.

    A weight may stand behind a Cast or a DequantizeLinear, whose zero point is 0 here.
    """
    producers = {output: node for node in model.graph.node for output in node.output}
    initializers = {tensor.name: tensor for tensor in model.graph.initializer}
    counts = {}
    for node in model.graph.node:
        if node.op_type not in {"Conv", "Gemm", "MatMul"}:
            continue
        name = _stored_name(node.input[1], producers)
        if name in initializers:
            values = numpy_helper.to_array(initializers[name])
            counts[name] = int(np.count_nonzero(values)), int(values.size)
    return counts


def _stored_name(name: str, producers: dict[str, NodeProto]) -> str:
    while name in producers and producers[name].op_type in {"Cast", "DequantizeLinear"}:
        name = producers[name].input[0]
    return name
