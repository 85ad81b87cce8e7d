"""Run any ONNX file as a user would: ONNX Runtime's default session on the CPU."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.data_source import DataSource
from models.errors import first_line
from objectives.errors import MeasurementError
from objectives.onnx_session import open_session
from objectives.score.file_network import FileNetwork


class OnnxNetwork(FileNetwork):
    """An ONNX file, open; it may come from anywhere.

    Args:
        path: The file.
        data: Set up already; what the file is to answer.
        threads: How many compute one answer.

    Raises:
        MeasurementError: ONNX Runtime cannot open it, or it does not take such inputs; the text
            does not name the file.
    """

    def __init__(self, path: Path, data: DataSource, *, threads: int) -> None:
        self._session = open_session(path, "it", threads=threads)
        shapes = {each.name: each.shape for each in self._session.get_inputs()}
        super().__init__(path, data, shapes, [each.name for each in self._session.get_outputs()])

    def _run(self, outputs: Sequence[str], feeds: Mapping[str, np.ndarray]) -> list[Any]:
        try:
            values: list[Any] = self._session.run(outputs, feeds)
        except Exception as err:  # ONNX Runtime's exceptions share no base class
            raise MeasurementError(f"ONNX Runtime cannot run it: {first_line(err)}") from err
        return values
