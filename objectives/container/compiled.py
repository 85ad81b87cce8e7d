"""Compile the loops over bits, which are written in plain Python, where numba is there.

A device without numba decodes the same bytes with the same functions, a hundred times as slowly.
Modules that use this are imported when something is coded, not before, as numba takes 0.2 s.
"""

from collections.abc import Callable
from typing import TypeVar, cast

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Return `function` compiled on its first call; the machine code is kept where that can be."""
    try:
        from numba import njit
    except ImportError:
        return function
    try:
        return cast(F, njit(cache=True)(function))
    except RuntimeError:  # neither beside the package nor in the user's folder may files be made
        return cast(F, njit(function))
