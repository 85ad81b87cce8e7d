"""Read the loaders of a `LightningDataModule` outside of any training."""

from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch.utils.data import IterableDataset

from models.batches import unpacked
from models.data_source import Part
from models.errors import BadInputError, blaming
from models.inputs import Given
from models.lightning import is_overridden
from models.seen import told

LOADERS = {
    "train": "train_dataloader",
    "validation": "val_dataloader",
    "test": "test_dataloader",
}

CPU = torch.device("cpu")

SAMPLED_ITEMS = 256
"""Of a data set, evenly spread, that tell it from another."""

MEASURING = SimpleNamespace(
    training=False, validating=False, testing=True, predicting=False, sanity_checking=False
)
"""What a module that asks its trainer what is going on is told while its loaders are read."""


class Reading:
    """The loaders of a module, by part: "train", "validation" or "test"."""

    def __init__(self, module: Any) -> None:  # noqa: ANN401 - of either Lightning
        self._module = module

    def prepare(self) -> None:
        """Let the module prepare and set up.

        Raises:
            BadInputError: It cannot, or it lacks a loader.
        """
        for loader in LOADERS.values():
            if not is_overridden(loader, self._module, "LightningDataModule"):
                raise BadInputError(f"The data have no `{loader}`.")
        with blaming("The data's `prepare_data`"):
            self._module.prepare_data()
        for stage in ("fit", "test"):
            with blaming("The data's `setup`"):
                self._module.setup(stage)

    def batches(self, part: str) -> Iterator[Any]:
        """Yield what the loader yields, as it comes to the CPU through the module's hooks."""
        module = self._module
        before, module.trainer = module.trainer, MEASURING
        try:
            for batch in self._guarded(self._loader(part), part):
                with blaming("What the data do to a batch on its way to the device"):
                    moved = module.on_before_batch_transfer(batch, 0)
                    moved = module.transfer_batch_to_device(moved, CPU, 0)
                    moved = module.on_after_batch_transfer(moved, 0)
                yield moved
        finally:
            module.trainer = before

    def unpacked(self, part: str) -> Iterator[tuple[Given, Any]]:
        """Yield what a network is given and the labels; see `models.batches`."""
        for batch in self.batches(part):
            given, labels = unpacked(batch, LOADERS[part])
            is_tensor = isinstance(labels, torch.Tensor)
            yield given.to(CPU), labels.cpu() if is_tensor else labels

    def training_inputs(self) -> Iterator[Given]:
        """Yield those of each training batch, always the same ones."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for given, _ in self.unpacked("train"):
                yield given

    def count(self, part: Part | str) -> int | None:
        """Return how many inputs the data set of a loader has, None if it does not tell."""
        return _length(getattr(self._loader(part), "dataset", None))

    def count_batches(self, part: str) -> int | None:
        """Return how many batches a loader has, None if it does not tell."""
        return _length(self._loader(part))

    def sample(self, part: str) -> list[str | None]:
        """Return what is in items of a data set, as text.

        None of what differs each time; nothing of a stream.
        """
        dataset = getattr(self._loader(part), "dataset", None)
        count = _length(dataset)
        is_stream = isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__")
        if dataset is None or not count or is_stream:
            return []
        places = range(0, count, -(-count // SAMPLED_ITEMS))

        def look() -> list[str]:
            with torch.random.fork_rng(devices=[]), blaming("The data's data set"):
                torch.manual_seed(0)
                return [told(dataset[place]) for place in places]

        return [one if one == other else None for one, other in zip(look(), look(), strict=True)]

    def _loader(self, part: str) -> Any:  # noqa: ANN401 - the user's
        module, name = self._module, LOADERS[part]
        before, module.trainer = module.trainer, MEASURING
        try:
            with blaming(f"The data's `{name}`"):
                loader = getattr(module, name)()
        finally:
            module.trainer = before
        if loader is None:
            raise BadInputError(f"The data's `{name}` returned nothing.")
        several = isinstance(loader, list | tuple) and loader and hasattr(loader[0], "dataset")
        if several or isinstance(loader, dict):
            raise BadInputError(
                f"The data's `{name}` must return one loader, but got {len(loader)}: let it join "
                "their data sets."
            )
        return loader

    def _guarded(self, batches: Iterable[Any], part: str) -> Iterator[Any]:
        with blaming(f"The data's `{LOADERS[part]}`"):
            yield from batches


def _length(value: Any) -> int | None:  # noqa: ANN401 - whatever a user has
    try:
        return len(value)
    except (TypeError, NotImplementedError):  # of a stream
        return None
