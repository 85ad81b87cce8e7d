"""A user's `LightningDataModule` as the data of a study."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from models.data_source import DataSource, Part
from models.errors import BadInputError


class LoaderData(DataSource):
    """Inputs and labels as the loaders of a `LightningDataModule` yield them."""

    def __init__(self, module: LightningDataModule) -> None:
        self._module = module
        self._is_set_up = False

    def setup(self) -> None:
        """Let the module prepare and set up; find out how many classes there are."""
        if self._is_set_up:
            return
        self._module.prepare_data()
        for stage in ("fit", "test"):
            self._module.setup(stage)
        self._is_set_up = True
        declared = getattr(self._module, "num_classes", None)
        if isinstance(declared, int):
            self.num_classes = declared
        else:
            parts: tuple[Part, ...] = ("validation", "test")
            labels = [labels for part in parts for _, labels in self.batches(part)]
            self.num_classes = int(torch.cat(labels).max()) + 1

    def for_training(self, batch_size: int, seed: int) -> LightningDataModule:
        """Return the user's module; its batch size is its own, its shuffling follows `seed`."""
        torch.manual_seed(seed)
        return self._module

    def batches(self, part: Part) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what the validation or test loader yields."""
        name = "val_dataloader" if part == "validation" else "test_dataloader"
        yield from _pairs(getattr(self._module, name)(), name)

    def training_inputs(self, count: int) -> Tensor:
        """Return the first inputs that the training loader yields, the same ones each time."""
        taken: list[Tensor] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for inputs, _ in _pairs(self._module.train_dataloader(), "train_dataloader"):
                taken.append(inputs)
                if sum(map(len, taken)) >= count:
                    break
        return torch.cat(taken)[:count]

    def sizes(self) -> dict[str, int]:
        """Return the number of inputs by part; counting reads the loaders."""
        loaders = {
            "train": self._module.train_dataloader(),
            "validation": self._module.val_dataloader(),
            "test": self._module.test_dataloader(),
        }
        return {
            name: sum(len(labels) for _, labels in _pairs(loader, name))
            for name, loader in loaders.items()
        }

    def fingerprint(self) -> str:
        """Return a hash over the validation and test parts and the first training inputs."""
        digest = hashlib.sha256()
        parts: tuple[Part, ...] = ("validation", "test")
        tensors = [tensor for part in parts for pair in self.batches(part) for tensor in pair]
        for tensor in (*tensors, self.training_inputs(1)):
            digest.update(str((tuple(tensor.shape), tensor.dtype)).encode())
            digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()[:16]


def _pairs(loader: Iterable[Any] | None, name: str) -> Iterator[tuple[Tensor, Tensor]]:
    if loader is None:
        raise BadInputError(f"The data's `{name}` returned nothing.")
    for batch in loader:
        if not (
            isinstance(batch, tuple | list)
            and len(batch) == 2
            and all(isinstance(item, Tensor) for item in batch)
        ):
            raise BadInputError(f"The data's `{name}` must yield (inputs, labels), two tensors.")
        inputs, labels = batch
        yield inputs.cpu(), labels.cpu()
