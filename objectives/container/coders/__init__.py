"""Coders of weights, one file each: `CODER` says what it is. Found by listing."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from objectives.container.coder import Coder

NAMES = tuple(sorted(found.name for found in iter_modules(__path__)))
"""Of all coders, known without importing them."""


@cache
def coders() -> dict[str, "Coder"]:
    """Return each coder by its name, by the numbers that their streams begin with."""
    found = {name: import_module(f"{__name__}.{name}").CODER for name in NAMES}
    return dict(sorted(found.items(), key=lambda item: item[1].coding))
