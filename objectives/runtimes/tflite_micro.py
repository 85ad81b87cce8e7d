"""TensorFlow Lite Micro, which runs .tflite files on microcontrollers; here on this machine's CPU.

Its memory is the arena that its own planner lays out: what is computed between layers, and about
2 kB that it keeps for itself. Flash holds the file as it is. Times are this CPU's with its
reference kernels; they rank networks, and say nothing of a device's milliseconds.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.data_source import DataSource
from models.errors import first_line
from objectives.errors import MeasurementError
from objectives.litert.network import TfliteNetwork
from objectives.runtimes.litert import LiteRt
from objectives.score.file_network import FileNetwork
from objectives.stderr import captured_stderr

LEAST_ARENA, MOST_ARENA = 1 << 20, 1 << 30
"""Bytes that are tried, the double each time, until a network finds room."""

_TOTAL = re.compile(r"Arena allocation total (\d+) bytes")


class MicroNetwork(TfliteNetwork):
    """A .tflite file, open in TensorFlow Lite Micro's interpreter.

    Args:
        path: The file.
        data: Set up already; what the file is to answer.

    Raises:
        MeasurementError: It cannot be opened, or does not take such inputs; the text does not name
            the file.
    """

    def __init__(self, path: Path, data: DataSource) -> None:
        from tflite_micro.python.tflite_micro.runtime import Interpreter

        size, told = LEAST_ARENA, ""
        self._interpreter: Any = None
        while self._interpreter is None:
            with captured_stderr() as said:
                try:
                    self._interpreter = Interpreter.from_file(str(path), arena_size=size)
                except Exception as err:  # of nonsense whatever its reader stumbles over
                    told = first_line(err)
            if self._interpreter is None and ("missing:" not in said.text or size >= MOST_ARENA):
                told = (said.text.strip().splitlines() or [told])[0]
                raise MeasurementError(f"TensorFlow Lite Micro cannot open it: {told}")
            size *= 2
        super().__init__(path, data)

    def _set(self, place: int, values: np.ndarray) -> None:
        self._interpreter.set_input(values, place)

    def _invoke(self) -> None:
        self._interpreter.invoke()

    def _get(self, place: int) -> np.ndarray:
        values: np.ndarray = self._interpreter.get_output(place)
        return values

    def _ends(self) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
        names = _names(self.path)
        asked = self._interpreter.get_input_details, self._interpreter.get_output_details
        inputs, outputs = (
            [_end(name, ask(place)) for place, name in enumerate(each)]
            for ask, each in zip(asked, names, strict=True)
        )
        return inputs, outputs

    def arena_bytes(self) -> int:
        """Return the bytes of the arena that its planner laid out."""
        with captured_stderr() as said:
            self._interpreter.print_allocations()
        found = _TOTAL.search(said.text)
        assert found is not None
        return int(found.group(1))


def _names(path: Path) -> tuple[Sequence[str], Sequence[str]]:
    """Return the names of a file's inputs and outputs."""
    from ai_edge_litert.schema_py_generated import ModelT

    graph = ModelT.InitFromPackedBuf(path.read_bytes(), 0).subgraphs[0]
    inputs, outputs = (
        [graph.tensors[number].name.decode() for number in ends]
        for ends in (graph.inputs, graph.outputs)
    )
    return inputs, outputs


def _end(name: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what LiteRT would tell of an input or an output."""
    quantized = told["quantization_parameters"]
    scales, zeros = quantized["scales"], quantized["zero_points"]
    quantization = (float(scales[0]), int(zeros[0])) if len(scales) else (0.0, 0)
    return {
        "name": name,
        "shape": told["shape"],
        "dtype": told["dtype"],
        "quantization": quantization,
    }


class TfliteMicro(LiteRt):
    """Runs .tflite files whose inputs and outputs are int8, too, where the rest is."""

    name = "tflite-micro"
    title = "TensorFlow Lite Micro"
    package, module = "tflite-micro", "tflite_micro.python.tflite_micro.runtime"
    extra = "mcu"
    lacks_bits = frozenset({2, 3, 4, 5, 6, 16})  # they would be int8 or floats all the same
    counts_raw = True
    plans_memory = True
    integer_ends = True

    def open(self, path: Path, data: DataSource, *, threads: int) -> FileNetwork:
        """Return the file, open; one thread computes whatever `threads` says."""
        return MicroNetwork(path, data)

    def ram_bytes(self, path: Path, data: DataSource) -> int:
        """Return the bytes of its arena."""
        return MicroNetwork(path, data).arena_bytes()


RUNTIME = TfliteMicro()
