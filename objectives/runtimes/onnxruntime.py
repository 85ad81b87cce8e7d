"""ONNX Runtime's default session on the CPU, as a user would run our file."""

from pathlib import Path

from models.data_source import DataSource
from objectives.runtimes.base import Runtime
from objectives.score.file_network import FileNetwork
from objectives.score.onnx_network import OnnxNetwork


class OnnxRuntime(Runtime):
    """Runs our files as they are."""

    name = "onnxruntime"
    title = "ONNX Runtime"
    package = module = "onnxruntime"

    def open(self, path: Path, data: DataSource, *, threads: int) -> FileNetwork:
        """Return the file, open."""
        return OnnxNetwork(path, data, threads=threads)


RUNTIME = OnnxRuntime()
