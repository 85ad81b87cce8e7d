"""Open a file with what runs such files."""

from pathlib import Path

from onnx import load

from models.data_source import DataSource
from models.errors import BadInputError
from objectives.files import write_atomically
from objectives.score.file_network import FileNetwork, feeds_for
from objectives.score.onnx_network import OnnxNetwork

TFLITE = ".tflite"
"""Ends the names of LiteRT's files; all others are taken for ONNX."""

RANGED_INPUTS, RANGED_AT_ONCE = 256, 64
"""Training inputs that ranges are read off where LiteRT wants one and ONNX Runtime does not."""


def open_network(path: Path, data: DataSource, *, threads: int) -> FileNetwork:
    """Return the file, open.

    Raises:
        MeasurementError: It cannot be opened, or does not take such inputs.
        BadInputError: What runs it is not installed.
    """
    if path.suffix != TFLITE:
        return OnnxNetwork(path, data, threads=threads)
    require_litert()
    from objectives.litert.network import LiteRtNetwork

    return LiteRtNetwork(path, data, threads=threads)


def write_tflite_file(onnx: Path, tflite: Path, data: DataSource) -> None:
    """Write the like of an ONNX file of ours for LiteRT.

    Raises:
        MeasurementError: LiteRT has no such operator; the text names it.
        BadInputError: It is not installed.
    """
    require_litert()
    from objectives.litert.convert import write_tflite

    names = [value.name for value in load(onnx).graph.input]
    inputs = data.training_inputs(RANGED_INPUTS).split(RANGED_AT_ONCE)
    feeds = [feeds_for(names, batch) for batch in inputs]
    write_atomically(tflite, write_tflite(onnx.read_bytes(), feeds))


def require_litert() -> None:
    """Raise `BadInputError` unless LiteRT is installed."""
    try:
        import ai_edge_litert  # noqa: F401
    except ImportError as err:
        raise BadInputError(
            "LiteRT's files need `pip install 'compression-search[litert]'`."
        ) from err
