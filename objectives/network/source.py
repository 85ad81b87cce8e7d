"""The source code that decides what a network computes beside its structure and weights."""

import dis
import inspect
import sys
import types
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import lru_cache
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

OURS = Path(__file__).parents[2] / "models"
"""Of our networks only the classes count, not the files; so it is of the script that was started,
as it also says how to search, which may change when a study goes on."""


def sources_of(network: nn.Module) -> Iterator[bytes]:
    """Yield, each once, the sources of the types of all modules in `network`.

    Of a user's type it is the whole file, as `forward` may call functions beside it; what that
    file imports from others is not followed.
    """
    types = dict.fromkeys(kind for module in network.modules() for kind in type(module).__mro__)
    seen: set[bytes] = set()
    for kind in types:
        package = package_of(kind)
        if package in LIBRARIES:
            continue
        with suppress(OSError, TypeError):  # defined where there is no file
            file = Path(inspect.getfile(kind))
            if package == "__main__" or file.is_relative_to(OURS):
                source = inspect.getsource(kind).encode()
            else:
                source = file.read_bytes()
            if source not in seen:
                seen.add(source)
                yield source


def is_of_library(value: object, own: Collection[str] = ()) -> bool:
    """Return whether a module, class or function, or the class of an object, is a library's.

    A library is a package of `LIBRARIES`, or one that pip has installed, unless it is `own`.
    """
    if isinstance(value, types.ModuleType):
        module = value.__name__
    else:
        module = getattr(value, "__module__", None) or type(value).__module__
    package = str(module).partition(".")[0]
    return package in LIBRARIES or (package not in own and _is_installed(package))


def package_of(kind: type) -> str:
    """Return the top package of a class."""
    return kind.__module__.partition(".")[0]


@lru_cache
def _is_installed(package: str) -> bool:
    if package == "__main__":  # whoever started it
        return False
    places = [getattr(sys.modules.get(package), "__file__", None) or ""]
    places += getattr(sys.modules.get(package), "__path__", [])
    return any({"site-packages", "dist-packages"} & set(Path(each).parts) for each in places)


def names_in(code: types.CodeType) -> set[str]:
    """Return the names of globals and attributes that a function reads."""
    return {name for each in _codes(code) for name in each.co_names}


def global_names_in(code: types.CodeType) -> set[str]:
    """Return the names of globals that a function reads."""
    return {
        instruction.argval
        for each in _codes(code)
        for instruction in dis.get_instructions(each)
        if instruction.opname in {"LOAD_GLOBAL", "LOAD_NAME"}
    }


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield a function's code, and that of the functions within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)
