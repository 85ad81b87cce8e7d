"""What runs a file where it ships, one runtime a file, found by listing: see its `RUNTIME`.

Score, latency, memory and size of each trial are read off the file of the study's runtime.
"""

from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from objectives.runtimes.base import Runtime

NAMES = tuple(
    sorted(each.name.replace("_", "-") for each in iter_modules(__path__) if each.name != "base")
)
"""Of all runtimes, known without importing them."""

DEFAULT = "onnxruntime"


@cache
def runtime_named(name: str) -> "Runtime":
    """Return a runtime by its name, one of `NAMES`; what it needs may be missing."""
    found: Runtime = import_module(f"{__name__}.{name.replace('-', '_')}").RUNTIME
    return found


OF_ENDING = {".tflite": "litert", ".xml": "openvino"}
"""What runs a file of such a name where nothing else is said; all others are taken for ONNX."""


def runtime_of(path: Path, name: str | None = None) -> "Runtime":
    """Return the runtime of that name, or if None the one that runs such files.

    Raises:
        BadInputError: It is not installed.
        MeasurementError: It does not run such files.
    """
    found = runtime_named(name or OF_ENDING.get(path.suffix, DEFAULT))
    found.require()
    found.require_own(path)
    return found
