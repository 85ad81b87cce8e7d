"""A user's `LightningDataModule` as the data of a study.

Its loaders are read whole before anything trains: what they yield is checked, counted and hashed.
The training loader is read twice from one seed of torch, as only what repeats can be hashed.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor

from models.data_source import DataSource, Part
from models.errors import BadInputError, blaming

LOADERS = {
    "train": "train_dataloader",
    "validation": "val_dataloader",
    "test": "test_dataloader",
}


class LoaderData(DataSource):
    """Inputs and labels as the loaders of a `LightningDataModule` yield them."""

    def __init__(self, module: LightningDataModule) -> None:
        self._module = module
        self._seen: dict[str, _Seen] = {}
        self._seen_again: _Seen

    def setup(self) -> None:
        """Let the module prepare and set up; read its loaders, and count the classes."""
        if self._seen:
            return
        for loader in LOADERS.values():
            if not is_overridden(loader, self._module):
                raise BadInputError(f"The data have no `{loader}`.")
        with blaming("The data's `prepare_data`"):
            self._module.prepare_data()
        for stage in ("fit", "test"):
            with blaming("The data's `setup`"):
                self._module.setup(stage)
        seen = {part: self._look(loader) for part, loader in LOADERS.items()}
        self._seen_again = self._look(LOADERS["train"])
        highest = max(max(part.classes) for part in seen.values())
        declared = getattr(self._module, "num_classes", None)
        self.num_classes = declared if isinstance(declared, int) else highest + 1
        for part, loader in LOADERS.items():
            wrong = [label for label in seen[part].classes if not 0 <= label < self.num_classes]
            if wrong:
                raise BadInputError(
                    f"The data's `{loader}` must yield labels in [0, {self.num_classes}), "
                    f"but got {wrong[0]}."
                )
        self._seen = seen

    def for_training(
        self,
        batch_size: int,
        seed: int,
        *,
        in_runs: bool = False,
    ) -> LightningDataModule:
        """Return the user's module; its batch size is its own, its shuffling follows `seed`."""
        torch.manual_seed(seed)
        return self._module

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the number of batches that the training loader yielded."""
        return self._seen["train"].batches

    def batches(self, part: Part) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what the validation or test loader yields."""
        yield from self._pairs(LOADERS[part])

    def training_inputs(self, count: int) -> Tensor:
        """Return the first inputs that the training loader yields, the same ones each time."""
        taken: list[Tensor] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for inputs, _ in self._pairs(LOADERS["train"]):
                taken.append(inputs)
                if sum(map(len, taken)) >= count:
                    break
        return torch.cat(taken)[:count]

    def sizes(self) -> dict[str, int]:
        """Return the number of inputs by part."""
        return {part: seen.classes.total() for part, seen in self._seen.items()}

    def fingerprint(self) -> str:
        """Return a hash over every input and label of the three parts, and over training's order.

        What differs between the two readings of the training loader is left out: the order where
        a generator of its own shuffles, the inputs where Python's or NumPy's generator changes
        them. The number of each label and the sizes of the batches then still count.
        """
        digest = hashlib.sha256()
        for part in ("validation", "test"):
            digest.update(f"{self._seen[part].samples} ".encode())
        for fact, again in zip(self._seen["train"].facts(), self._seen_again.facts(), strict=True):
            digest.update(f"{fact if fact == again else None} ".encode())
        return digest.hexdigest()[:16]

    def _look(self, loader: str) -> "_Seen":
        """Read all that `loader` yields, from a fixed seed."""
        seen = _Seen()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for inputs, labels in self._pairs(loader):
                seen.add_(inputs, labels)
        if not seen.classes:
            raise BadInputError(f"The data's `{loader}` yields nothing.")
        return seen

    def _pairs(self, loader: str) -> Iterator[tuple[Tensor, Tensor]]:
        with blaming(f"The data's `{loader}`"):
            batches = getattr(self._module, loader)()
            if batches is None:
                raise BadInputError(f"The data's `{loader}` returned nothing.")
            for batch in batches:
                yield _checked(batch, loader)


class _Seen:
    """What one reading of a loader met."""

    def __init__(self) -> None:
        self.classes: Counter[int] = Counter()
        self.samples = 0
        """Sum of the hashes of its inputs with their labels: equal in any order."""
        self.batches = 0
        self._batch_sizes = hashlib.sha256()
        self._in_order = hashlib.sha256()

    def add_(self, inputs: Tensor, labels: Tensor) -> None:
        """Count and hash a batch, in place."""
        self.batches += 1
        self.classes.update(labels.tolist())
        self._batch_sizes.update(f"{len(labels)} ".encode())
        kind = f"{tuple(inputs.shape[1:])}{inputs.dtype}".encode()
        rows = inputs.reshape(len(inputs), -1).contiguous().view(torch.uint8).numpy()
        for row, label in zip(rows, labels.tolist(), strict=True):
            sample = hashlib.sha256(kind + f"{label}".encode())
            sample.update(row.data)
            self._in_order.update(sample.digest())
            self.samples += int.from_bytes(sample.digest())

    def facts(self) -> tuple[object, ...]:
        """Return what decides a training: labels, sizes of batches, samples, their order."""
        return (
            sorted(self.classes.items()),
            self._batch_sizes.hexdigest(),
            self.samples,
            self._in_order.hexdigest(),
        )


def _checked(batch: Any, loader: str) -> tuple[Tensor, Tensor]:  # noqa: ANN401 - the user's
    if not (
        isinstance(batch, tuple | list)
        and len(batch) == 2
        and all(isinstance(item, Tensor) for item in batch)
    ):
        raise BadInputError(f"The data's `{loader}` must yield (inputs, labels), two tensors.")
    inputs, labels = batch
    if labels.dtype != torch.int64 or labels.dim() != 1 or labels.shape != inputs.shape[:1]:
        kind = str(labels.dtype).removeprefix("torch.")
        raise BadInputError(
            f"The data's `{loader}` must yield labels int64 (N,) of inputs (N, ...), "
            f"but got {kind} {tuple(labels.shape)} of {tuple(inputs.shape)}."
        )
    return inputs.detach().cpu(), labels.cpu()
