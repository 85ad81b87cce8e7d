"""The stages of a plan: training, and the methods of compression, one file each.

Each file teaches its method; `base` says what a stage is. What is here is found by listing.
"""

import re
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any


@cache
def stage_types() -> dict[str, Any]:
    """Return each type of stage by its name in plans, in the order of execution."""
    base = import_module(f"{__name__}.base")
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    kinds: set[Any] = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, base.Stage)
        and "part" in vars(value)
        and value.__module__ == module.__name__
    }
    places = {kind: (base.KINDS.index(kind.kind), kind.order, kind.part) for kind in kinds}
    return {kind.part: kind for kind in sorted(kinds, key=places.__getitem__)}


def method_names() -> list[str]:
    """Return the names of the methods as their classes say them, sorted, without importing any."""
    texts = [file.read_text() for folder in __path__ for file in sorted(Path(folder).glob("*.py"))]
    found = [said for text in texts for said in _SAID.findall(text)]
    return sorted(name for name, others in found if "is_method = False" not in others)


_SAID = re.compile(r'^    stage = "(\w+)"\n((?:    \w+ = .*\n)*)', re.MULTILINE)
"""A stage's name, and what its class says of itself right behind."""
