"""Let our packages be found before a user's of the same names, and both beside each other.

People have packages called `models`, `search` or `objectives`, too. Wherever we are started, what
we import by these names is ours; a module that only theirs has, as `models.blocks`, is theirs. A
module that both have cannot be told apart by its name: where theirs was imported first, that is
said in a line.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("models", "objectives", "search")


def find_ours_first() -> None:
    """Look for our packages first, from now on; a second call does nothing.

    Raises:
        ImportError: A user's module is in the place of one of ours.
    """
    if any(isinstance(finder, _OursFirst) for finder in sys.meta_path):
        return
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        ours = _file_of(name)
        if "." in name and file and ours and Path(file).resolve() != ours:
            raise ImportError(
                f"{file} has the name of a module of compression-search, {name}: give it another."
            )
    sys.meta_path.insert(0, _OursFirst())


class _OursFirst(MetaPathFinder):
    """Finds modules of these packages: ours, or where we have none, those on the path."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module of one of our packages is; None of others."""
        if name.partition(".")[0] not in PACKAGES:
            return None
        file = _file_of(name)
        if file is not None:
            return spec_from_file_location(name, file)
        *parents, _ = name.split(".")
        return PathFinder.find_spec(
            name, [str(Path(entry or ".").joinpath(*parents)) for entry in sys.path], target
        )


def _file_of(name: str) -> Path | None:
    """Return the file of a module of ours, None if it is none."""
    first, *_ = parts = name.split(".")
    if first not in PACKAGES:
        return None
    place = ROOT.joinpath(*parts)
    files = (place / "__init__.py", place.with_name(f"{place.name}.py"))
    return next((file for file in files if file.is_file()), None)
