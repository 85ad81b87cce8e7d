"""Optuna's samplers, one file each: `sampler(seed)` returns a new one. Found by listing.

Each new trial gets a new sampler, seeded by the study and the number of trials so far.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

NAMES = tuple(sorted(found.name for found in iter_modules(__path__)))
"""Of all samplers, known without importing them."""
AUTO, GRID = "auto", "grid"
CHOICES = (AUTO, GRID, *NAMES)
"""What may be asked for; the grid is queued, no sampler's."""


@cache
def samplers() -> dict[str, "Callable[[int], BaseSampler]"]:
    """Return what makes each sampler, by name."""
    return {name: import_module(f"{__name__}.{name}").sampler for name in NAMES}
