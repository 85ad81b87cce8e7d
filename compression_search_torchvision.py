"""Make `import torchvision` work beside a CPU-only torch, whatever is imported first.

torchvision's wheel is compiled against a CUDA build. Beside a CPU build its compiled operators do
not load, and its import fails with "operator torchvision::nms does not exist"; Lightning and
torchmetrics import it. Data sets, transforms and classifiers need none of them, so the two schemas
that its import asks for are defined just before, and only where the real operators do not load.

torch calls `watch` at the end of its own import, as pyproject.toml asks it to by an entry point of
the group `torch.backends`: so this stands on its own, and has a name that no user's file has.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

_LIBRARIES: list[Any] = []
"""Definitions live as long as these objects."""


def watch() -> None:
    """Let the first import of torchvision find what it asks for; nothing is imported before."""
    if "torchvision" in sys.modules:  # it has imported torch, and asks next
        _define_missing_operators()
    elif not any(isinstance(finder, _BeforeTorchvision) for finder in sys.meta_path):
        sys.meta_path.insert(0, _BeforeTorchvision())


class _BeforeTorchvision(MetaPathFinder):
    """Finds nothing, but is asked first."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Define the operators where torchvision is about to be imported; return None."""
        if name == "torchvision":
            sys.meta_path.remove(self)
            _define_missing_operators()
        return None


def _define_missing_operators() -> None:
    import torch

    if not _LIBRARIES and not _operators_load():
        library = torch.library.Library("torchvision", "FRAGMENT")
        for schema in _SCHEMAS:
            library.define(schema)
        _LIBRARIES.append(library)


def _operators_load() -> bool:
    from importlib.util import find_spec

    import torch

    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return True  # there is nothing to define them for
    compiled = next(Path(spec.origin).parent.glob("_C*.*"), None)
    if compiled is None:
        return False
    try:
        torch.ops.load_library(str(compiled))
    except OSError:
        return False
    return True
