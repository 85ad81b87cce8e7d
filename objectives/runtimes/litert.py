"""LiteRT (formerly TensorFlow Lite) on the CPU, as phones run it."""

from pathlib import Path

import numpy as np
from onnx import load

from models.data_source import DataSource
from objectives.errors import MeasurementError
from objectives.files import write_atomically
from objectives.runtimes.base import Runtime
from objectives.score.file_network import FileNetwork, feeds_for
from objectives.score.onnx_network import OnnxNetwork

RANGED_INPUTS, RANGED_AT_ONCE = 256, 64
"""Training inputs that ranges are read off where LiteRT wants one and ONNX Runtime does not."""

COMPARED_INPUTS = 16
FLOAT_TOLERANCE = 1e-3
"""Of the largest answer's size."""
TOLERATED_STEPS = 16
"""Of the answers' range, by which int8 answers may differ, root mean square, or by as much as they
spread over inputs: answers of another graph differ by 1.4 times that, rounding by less."""


def check_alike(onnx: Path, file: FileNetwork, data: DataSource) -> None:
    """Raise `MeasurementError` unless `file` answers training inputs about as ours does."""
    ours = OnnxNetwork(onnx, data, threads=1)
    inputs = data.training_inputs(COMPARED_INPUTS).split(1)
    expected, given = (
        np.stack([each.answer(each.feeds(one)) for one in inputs]).astype(np.float64)
        for each in (ours, file)
    )
    size = max(float(np.abs(expected).max(initial=0.0)), 1e-30)
    difference = np.abs(given - expected)
    if is_on_integers(file.path):
        spread = float(expected.std(axis=0).mean())
        tolerated = max(spread, TOLERATED_STEPS * size / 255)
        is_alike = float(np.sqrt((difference**2).mean())) <= tolerated
    else:
        is_alike = float(difference.max(initial=0.0)) <= FLOAT_TOLERANCE * size
    if not is_alike:
        raise MeasurementError(
            f"it answers differently: by {difference.max():.3g} where answers reach {size:.3g}."
        )


def is_on_integers(tflite: Path) -> bool:
    """Return whether a .tflite file computes anything on int8."""
    from ai_edge_litert.schema_py_generated import ModelT, TensorType

    (graph,) = ModelT.InitFromPackedBuf(tflite.read_bytes(), 0).subgraphs
    return any(each.type == TensorType.INT8 for each in graph.tensors)


class LiteRt(Runtime):
    """Runs .tflite files with the weights and scales of ours."""

    name = "litert"
    title = "LiteRT"
    suffix = ".tflite"
    package, module = "ai-edge-litert", "ai_edge_litert.interpreter"
    extra = "litert"
    reads = (".tflite",)
    all_on_integers = True
    integer_ends = False
    """Whether inputs and outputs are int8, too, where the rest is."""

    def write(self, ours: Path, to: Path, data: DataSource) -> None:
        """Write the file for LiteRT, with the weights and scales of ours."""
        from objectives.litert.convert import write_tflite

        names = [value.name for value in load(ours).graph.input]
        inputs = data.training_inputs(RANGED_INPUTS).split(RANGED_AT_ONCE)
        feeds = [feeds_for(names, batch) for batch in inputs]
        content = write_tflite(
            ours.read_bytes(),
            feeds,
            integer_ends=self.integer_ends,
            halves=16 not in self.lacks_bits,
        )
        write_atomically(to, content)

    def check(self, ours: Path, shipped: Path, data: DataSource) -> None:
        """Raise `MeasurementError` unless the file answers about as ours does."""
        try:
            check_alike(ours, self.open(shipped, data, threads=1), data)
        except MeasurementError as err:
            raise MeasurementError(f"The file for {self.title}: {err}") from err

    def content(self, path: Path) -> bytes:
        """Return the bytes of the file."""
        return path.read_bytes()

    def open(self, path: Path, data: DataSource, *, threads: int) -> FileNetwork:
        """Return the file, open."""
        from objectives.litert.network import LiteRtNetwork

        return LiteRtNetwork(path, data, threads=threads)


RUNTIME = LiteRt()
