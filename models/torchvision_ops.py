"""Make `import torchvision` work beside a CPU-only torch; `import models` does it.

torchvision's wheel is compiled against a CUDA build. Beside a CPU build its compiled operators do
not load, and its import fails with "operator torchvision::nms does not exist". Data sets,
transforms and classifiers need none of them, so the two schemas that its import asks for are
defined here, and only where the real operators do not load.
"""

from importlib.util import find_spec
from pathlib import Path

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def _operators_load() -> bool:
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return False
    compiled = next(Path(spec.origin).parent.glob("_C*.*"), None)
    if compiled is None:
        return False
    try:
        torch.ops.load_library(str(compiled))
    except OSError:
        return False
    return True


def _define_missing_operators() -> "torch.library.Library | None":
    if _operators_load():
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS:
        library.define(schema)
    return library


_LIBRARY = _define_missing_operators()  # the definitions live as long as this object
