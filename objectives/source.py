"""The source code that decides what a network computes beside its structure and weights."""

import inspect
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from torch import nn

LIBRARIES = sys.stdlib_module_names | {
    "lightning",
    "lightning_fabric",
    "numpy",
    "pytorch_lightning",
    "timm",
    "torch",
    "torchmetrics",
    "torchvision",
    "transformers",
}
"""Packages whose code belongs to their version."""

WHERE_CLASSES_COUNT = ("models", "__main__")
"""Packages of which only the networks' classes count, not the files: ours, and the script that was
started, as it also says how to search, which may change when a study goes on."""


def sources_of(network: nn.Module) -> Iterator[bytes]:
    """Yield, each once, the sources of the types of all modules in `network`.

    Of a user's type it is the whole file, as `forward` may call functions beside it; what that
    file imports from others is not followed.
    """
    types = dict.fromkeys(kind for module in network.modules() for kind in type(module).__mro__)
    seen: set[bytes] = set()
    for kind in types:
        package = kind.__module__.partition(".")[0]
        if package in LIBRARIES:
            continue
        with suppress(OSError, TypeError):  # defined where there is no file
            if package in WHERE_CLASSES_COUNT:
                source = inspect.getsource(kind).encode()
            else:
                source = Path(inspect.getfile(kind)).read_bytes()
            if source not in seen:
                seen.add(source)
                yield source
