"""Run any .tflite file as a phone would: LiteRT's interpreter on the CPU, one input at a time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.data_source import DataSource
from models.errors import first_line
from models.inputs import INPUT_NAME, Inputs
from objectives.errors import MeasurementError
from objectives.litert.layouts import FIRST, LAST
from objectives.score.file_network import FileNetwork


class LiteRtNetwork(FileNetwork):
    """A .tflite file, open; it may come from anywhere.

    Its images may have channels last, as such files have them, and its inputs and outputs may be
    int8: they are then given and told as the numbers that these stand for.

    Args:
        path: The file.
        data: Set up already; what the file is to answer.
        threads: How many compute one answer.

    Raises:
        MeasurementError: LiteRT cannot open it, or it does not take such inputs; the text does not
            name the file.
    """

    def __init__(self, path: Path, data: DataSource, *, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter = Interpreter(str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as err:
            raise MeasurementError(f"LiteRT cannot open it: {first_line(err)}") from err
        given = data.training_inputs(1)
        names = given.names if isinstance(given, Inputs) else (INPUT_NAME,)
        details = self._interpreter.get_input_details()
        self._inputs = {
            names[0] if len(details) == len(names) == 1 else each["name"]: each for each in details
        }
        self._given = {each["name"]: each for each in self._interpreter.get_output_details()}
        shapes = {name: _shape_as_ours(each, data) for name, each in self._inputs.items()}
        super().__init__(path, data, shapes, list(self._given))

    def _run(self, outputs: Sequence[str], feeds: Mapping[str, np.ndarray]) -> list[Any]:
        for name, values in feeds.items():
            told = self._inputs[name]
            if values.shape != tuple(told["shape"]):
                values = values.transpose(LAST)
            self._interpreter.set_tensor(told["index"], _stored(values, told))
        try:
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as err:
            raise MeasurementError(f"LiteRT cannot run it: {first_line(err)}") from err
        return [
            _numbers(self._interpreter.get_tensor(self._given[name]["index"]), self._given[name])
            for name in outputs
        ]


def _shape_as_ours(told: Mapping[str, Any], data: DataSource) -> tuple[int, ...]:
    """Return the shape of an input, channels first if the data have it so."""
    shape = tuple(int(side) for side in told["shape"])
    if len(shape) == 4 and shape[1:] != data.input_shape:
        return tuple(shape[axis] for axis in FIRST)
    return shape


def _stored(values: np.ndarray, told: Mapping[str, Any]) -> np.ndarray:
    """Return numbers as an input takes them."""
    scale, zero_point = told["quantization"]
    if not scale:
        return values.astype(told["dtype"])
    limits = np.iinfo(told["dtype"])
    integers = np.rint(values / np.float32(scale)) + zero_point
    cut: np.ndarray = np.clip(integers, limits.min, limits.max)
    return cut.astype(told["dtype"])


def _numbers(stored: np.ndarray, told: Mapping[str, Any]) -> np.ndarray:
    """Return what an output stands for."""
    scale, zero_point = told["quantization"]
    if not scale:
        return stored
    numbers: np.ndarray = (stored.astype(np.float32) - zero_point) * np.float32(scale)
    return numbers
