"""Names for what a user can choose: `MODELS` and `DATA`.

Adding a model or a data set is adding one file to `models/networks/` or `models/data/` that ends
with a call of `add`. A registry imports its package's modules itself, when first asked for a name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Generic, TypeVar

from torch import nn

from models.data_source import DataOptions
from models.errors import BadInputError
from models.images import ImageData

T = TypeVar("T")


class Registry(Generic[T]):
    """A dictionary of named things that fills itself from the modules of one package."""

    def __init__(self, kind: str, package: str) -> None:
        self._kind = kind
        self._package = package
        self._entries: dict[str, T] = {}

    def add(self, name: str, entry: T) -> None:
        """Register `entry`; a name that is taken raises `ValueError`."""
        if name in self._entries:
            raise ValueError(f"A {self._kind} named '{name}' is registered already.")
        self._entries[name] = entry

    def names(self) -> list[str]:
        """Return all registered names, sorted."""
        for module in iter_modules(import_module(self._package).__path__):
            import_module(f"{self._package}.{module.name}")
        return sorted(self._entries)

    def get(self, name: str) -> T:
        """Return the entry called `name`.

        Raises:
            BadInputError: No entry has that name; the text lists those that are known.
        """
        known = self.names()
        if name not in known:
            raise BadInputError(f"Unknown {self._kind} '{name}'. Known: {', '.join(known)}.")
        return self._entries[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A network that can be built, with the settings that its authors trained it with."""

    build: Callable[[tuple[int, ...], int], nn.Module]
    """Makes the untrained network for inputs of a shape, (C, H, W) for images, and a number of
    classes."""
    data: str
    """Name of the data that it is trained on unless the user names others."""
    epochs: int = 12
    """Epochs of the baseline's training, and of each fine-tuning."""
    qat_epochs: int = 2
    """Epochs of fine-tuning while quantized."""
    batch_size: int = 128
    """Images in a training step."""
    lr: float = 1e-3
    """Adam's learning rate."""
    normalize: bool = False
    """Whether the data's normalization is put before the network, inside the file."""
    input_size: int | None = None
    """Height and width that images are resized to; None keeps the data's."""
    exports: bool = False
    """Whether it is known that it can be exported to ONNX; else that is tried before training."""
    own: bool = False
    """Whether it is a user's: its code and its attributes count, beside its structure."""
    paper_table: str | None = None
    """Name of the paper's table of this network, a file in `search/results/published/` without its
    ending."""


MODELS: Registry[ModelSpec] = Registry("model", "models.networks")
DATA: Registry[Callable[[DataOptions], ImageData]] = Registry("data", "models.data")
