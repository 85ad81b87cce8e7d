"""OpenVINO on the CPU, which reads our files.

One input is computed by a model whose batch is fixed to 1: with a free batch it takes four to six
times as long. It has no integers of 2 bits; they are stored in 4.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.data_source import DataSource
from models.errors import first_line
from objectives.errors import MeasurementError
from objectives.files import write_atomically
from objectives.runtimes.base import Runtime
from objectives.score.file_network import FileNetwork
from objectives.stderr import captured_stderr

WIDER = {TensorProto.INT2: TensorProto.INT4, TensorProto.UINT2: TensorProto.UINT4}
"""What integers that it lacks are stored as."""


class OpenVinoNetwork(FileNetwork):
    """A file that OpenVINO reads, open: ONNX, or its own IR (.xml, weights in .bin beside it).

    Args:
        path: The file.
        data: Set up already; what the file is to answer.
        threads: How many compute one answer.

    Raises:
        MeasurementError: It cannot be opened, or does not take such inputs; the text does not name
            the file.
    """

    def __init__(self, path: Path, data: DataSource, *, threads: int) -> None:
        import openvino

        try:
            with captured_stderr():
                self._model = openvino.Core().read_model(str(path))
        except RuntimeError as err:
            raise MeasurementError(f"OpenVINO cannot open it: {_reason(err)}") from err
        self._options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        shapes = {
            each.any_name: [
                None if side.is_dynamic else side.get_length() for side in each.partial_shape
            ]
            for each in self._model.inputs
        }
        super().__init__(path, data, shapes, [each.any_name for each in self._model.outputs])
        self._compiled: dict[bool, Any] = {}

    def _compile(self, *, is_one: bool) -> Any:  # noqa: ANN401 - it has no types
        """Return the model compiled, its batch fixed to one or as it is."""
        import openvino

        model = self._model.clone()
        if is_one:
            shapes = {each.any_name: each.partial_shape for each in model.inputs}
            for shape in shapes.values():
                shape[0] = 1
            model.reshape(shapes)
        return openvino.Core().compile_model(model, "CPU", self._options)

    def _run(self, outputs: Sequence[str], feeds: Mapping[str, np.ndarray]) -> list[Any]:
        is_one = all(len(values) == 1 for values in feeds.values())
        try:
            if is_one not in self._compiled:
                self._compiled[is_one] = self._compile(is_one=is_one)
            compiled = self._compiled[is_one]
            found = compiled(dict(feeds))
        except RuntimeError as err:
            raise MeasurementError(f"OpenVINO cannot run it: {_reason(err)}") from err
        return [np.array(found[compiled.output(name)]) for name in outputs]


def _reason(err: RuntimeError) -> str:
    """Return the last line of its errors, which says what was wrong; those before say where."""
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    return first_line(RuntimeError(lines[-1])) if lines else "it does not say why"


class OpenVino(Runtime):
    """Runs our files, integers of 2 bits stored in 4."""

    name = "openvino"
    title = "OpenVINO"
    package = module = "openvino"
    extra = "openvino"
    reads = (".onnx", ".xml")

    def write(self, ours: Path, to: Path, data: DataSource) -> None:
        """Write our file so that OpenVINO takes it."""
        content = ours.read_bytes()
        wider = widened(content)
        if wider != content or to != ours:
            write_atomically(to, wider)

    def content(self, path: Path) -> bytes:
        """Return the bytes of the file, and of those beside it that it keeps weights in."""
        if path.suffix == ".xml":
            return path.read_bytes() + path.with_suffix(".bin").read_bytes()
        return super().content(path)

    def open(self, path: Path, data: DataSource, *, threads: int) -> FileNetwork:
        """Return the file, open."""
        return OpenVinoNetwork(path, data, threads=threads)


def widened(content: bytes) -> bytes:
    """Return an ONNX file with its integers of 2 bits stored in 4; itself if it has none."""
    model = onnx.load_from_string(content)
    narrow = [each for each in model.graph.initializer if each.data_type in WIDER]
    if not narrow:
        return content
    for tensor in narrow:
        wider = helper.tensor_dtype_to_np_dtype(WIDER[tensor.data_type])
        values = numpy_helper.to_array(tensor).astype(np.int8).astype(wider)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    stored: bytes = model.SerializeToString(deterministic=True)
    return stored


def write_ir(onnx: Path, xml: Path) -> None:
    """Write OpenVINO's own form of a file that it reads: `xml`, and its weights in .bin beside.

    Raises:
        MeasurementError: It cannot read the file.
    """
    import openvino

    try:
        openvino.save_model(
            openvino.Core().read_model(str(onnx)), str(xml), compress_to_fp16=False
        )
    except RuntimeError as err:
        raise MeasurementError(f"OpenVINO cannot read it: {_reason(err)}") from err


RUNTIME = OpenVino()
