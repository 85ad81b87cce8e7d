"""The forms that a network can be taken away in beside our file: `search.export --format`."""

from collections.abc import Callable
from pathlib import Path

from models.data_source import DataSource
from objectives.artifact.c_source import write_c
from objectives.runtimes import runtime_named
from objectives.runtimes.openvino import write_ir
from objectives.runtimes.tflite_micro import MicroNetwork


def _onnx(_file: Path, _data: DataSource) -> list[Path]:
    return []


def _openvino(file: Path, _data: DataSource) -> list[Path]:
    runtime_named("openvino").require()
    xml = file.with_suffix(".xml")
    write_ir(file, xml)
    return [xml, xml.with_suffix(".bin")]


def _tflite(file: Path, data: DataSource) -> list[Path]:
    made = file.with_suffix(".tflite")
    if not made.exists():  # what the study measured is what goes
        runtime = runtime_named("litert")
        runtime.require()
        runtime.write(file, made, data)
        runtime.check(file, made, data)
    return [made]


def _c(file: Path, data: DataSource) -> list[Path]:
    runtime = runtime_named("tflite-micro")
    runtime.require()
    folder, made = file.parent / "c", file.with_suffix(".tflite")
    if not (made.exists() and MicroNetwork(made, data).is_on_integers):  # else it was measured
        made = file.with_name("network.tflite")
        runtime.write(file, made, data)
        runtime.check(file, made, data)
    return [made, *write_c(made, folder, data)]


FORMS: dict[str, Callable[[Path, DataSource], list[Path]]] = {
    "onnx": _onnx,
    "openvino": _openvino,
    "tflite": _tflite,
    "c": _c,
}
"""What writes each form beside our file, from the data's training inputs, and returns its files.

Each raises `BadInputError` where what it needs is not installed, `MeasurementError` where the form
has no such operator."""
