"""Run any .tflite file as a phone or a microcontroller would, one input at a time."""

from abc import abstractmethod
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
from objectives.stderr import captured_stderr


class TfliteNetwork(FileNetwork):
    """A .tflite file that some interpreter has open; it may come from anywhere.

    Its images may have channels last, as such files have them, and its inputs and outputs may be
    int8: they are then given and told as the numbers that these stand for.

    Args:
        path: The file.
        data: Set up already; what the file is to answer.

    Raises:
        MeasurementError: It does not take such inputs; the text does not name the file.
    """

    def __init__(self, path: Path, data: DataSource) -> None:
        self.path = path
        given = data.training_inputs(1)
        names = given.names if isinstance(given, Inputs) else (INPUT_NAME,)
        inputs, outputs = self._ends()
        self._inputs = {
            names[0] if len(inputs) == len(names) == 1 else each["name"]: (place, each)
            for place, each in enumerate(inputs)
        }
        self._given = {each["name"]: (place, each) for place, each in enumerate(outputs)}
        shapes = {name: _shape_as_ours(each, data) for name, (_, each) in self._inputs.items()}
        super().__init__(path, data, shapes, list(self._given))

    def _run(self, outputs: Sequence[str], feeds: Mapping[str, np.ndarray]) -> list[Any]:
        for name, values in feeds.items():
            place, told = self._inputs[name]
            if values.shape != tuple(told["shape"]):
                values = values.transpose(LAST[4])
            self._set(place, _stored(values, told))
        try:
            self._invoke()
        except (ValueError, RuntimeError) as err:
            raise MeasurementError(f"It cannot be run: {first_line(err)}") from err
        return [
            _numbers(self._get(self._given[name][0]), self._given[name][1]) for name in outputs
        ]

    @property
    def is_on_integers(self) -> bool:
        """Whether its inputs and outputs are int8."""
        ends = [each for _, each in (*self._inputs.values(), *self._given.values())]
        return all(np.dtype(each["dtype"]) == np.int8 for each in ends)

    def integers(self, feeds: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return the one input and the answer as they are stored, the first channels last."""
        ((name, values),) = feeds.items()
        _, told = self._inputs[name]
        self.answer(feeds)
        last = values if values.shape == tuple(told["shape"]) else values.transpose(LAST[4])
        return _stored(last, told), self._get(self._given[self.answer_name][0])

    @abstractmethod
    def _ends(self) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
        """Return name, shape, dtype and quantization (scale, zero point) of inputs and outputs."""

    @abstractmethod
    def _set(self, place: int, values: np.ndarray) -> None:
        """Give the input of that place."""

    @abstractmethod
    def _invoke(self) -> None:
        """Compute."""

    @abstractmethod
    def _get(self, place: int) -> np.ndarray:
        """Return the output of that place."""


class LiteRtNetwork(TfliteNetwork):
    """A .tflite file, open in LiteRT's interpreter.

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
            with captured_stderr():  # it says each time which kernels it takes
                self._interpreter = Interpreter(str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as err:
            raise MeasurementError(f"LiteRT cannot open it: {first_line(err)}") from err
        self._details = self._interpreter.get_input_details()
        self._outputs_told = self._interpreter.get_output_details()
        super().__init__(path, data)

    def _ends(self) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
        return self._details, self._outputs_told

    def _set(self, place: int, values: np.ndarray) -> None:
        self._interpreter.set_tensor(self._details[place]["index"], values)

    def _invoke(self) -> None:
        self._interpreter.invoke()

    def _get(self, place: int) -> np.ndarray:
        values: np.ndarray = self._interpreter.get_tensor(self._outputs_told[place]["index"])
        return values


def _shape_as_ours(told: Mapping[str, Any], data: DataSource) -> tuple[int, ...]:
    """Return the shape of an input, channels first if the data have it so."""
    shape = tuple(int(side) for side in told["shape"])
    if len(shape) == 4 and shape[1:] != data.input_shape:
        return tuple(shape[axis] for axis in FIRST[4])
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
