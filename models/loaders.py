"""A user's `LightningDataModule`, of either Lightning, as the data of a study.

Its loaders are read whole before anything trains: what they yield is checked, counted and hashed.
What is asked of the network follows from the labels of the first batches, unless the user says it.
The training loader is read twice from one seed of torch, as only what repeats can be hashed. What
the module does to a batch on its way to the device is done here, too, as where nothing trains: the
file that is shipped takes what comes out of that.
"""

import hashlib
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from models.classifier import Classifier
from models.data_source import DataSource, Part
from models.errors import BadInputError, blaming
from models.lightning import handed_over, is_overridden
from models.seen import Seen
from models.tasks import TASKS, guessed
from models.tasks.base import Task

LOADERS = {
    "train": "train_dataloader",
    "validation": "val_dataloader",
    "test": "test_dataloader",
}

LABELS_LOOKED_AT = 1000
"""Of which the task is guessed."""

INPUTS = {torch.float32, torch.bool, torch.uint8}
INPUTS |= {torch.int8, torch.int16, torch.int32, torch.int64}
"""What a file can take."""

MEASURING = SimpleNamespace(
    training=False, validating=False, testing=True, predicting=False, sanity_checking=False
)
"""What a module that asks its trainer what is going on is told while its loaders are read."""


class LoaderData(DataSource):
    """Inputs and labels as the loaders of a `LightningDataModule` yield them."""

    def __init__(self, module: Any) -> None:  # noqa: ANN401 - of either Lightning
        self._module = module
        self._asked: Task | None = None
        self._seen: dict[str, Seen] = {}
        self._seen_again: Seen

    def ask(self, task: str) -> None:
        """Take the labels for those of this task."""
        if task in TASKS:
            self.task = self._asked = TASKS[task]
        super().ask(task)

    def setup(self) -> None:
        """Let the module prepare and set up; read its loaders, and count the classes."""
        if self._seen:
            return
        for loader in LOADERS.values():
            if not is_overridden(loader, self._module, "LightningDataModule"):
                raise BadInputError(f"The data have no `{loader}`.")
        with blaming("The data's `prepare_data`"):
            self._module.prepare_data()
        for stage in ("fit", "test"):
            with blaming("The data's `setup`"):
                self._module.setup(stage)
        if self._asked is None:
            self.task = guessed(self._first_labels())
        seen = {part: self._look(loader) for part, loader in LOADERS.items()}
        self._seen_again = self._look(LOADERS["train"])
        declared = getattr(self._module, "num_classes", None)
        most = max(part.outputs for part in seen.values())
        self.num_classes = declared if isinstance(declared, int) else most
        for part, loader in LOADERS.items():
            seen[part].require_classes(self.num_classes, loader)
        self._seen = seen

    def for_training(self, batch_size: int, seed: int, module: object) -> Any:  # noqa: ANN401 - of either Lightning
        """Return the user's module; its batch size is its own, its shuffling follows `seed`.

        A module that trains itself gets its labels as they are.
        """
        torch.manual_seed(seed)
        change = self._with_targets if isinstance(module, Classifier) else None
        return handed_over(self._module, module, change)

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the number of batches that the training loader yielded."""
        return self._seen["train"].batches

    def batches(self, part: Part) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what the validation or test loader yields."""
        yield from self._checked_pairs(LOADERS[part])

    def labelled_batches(self, part: Part) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what the loader yields, its labels as they are."""
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
        return {part: seen.count for part, seen in self._seen.items()}

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

    def _look(self, loader: str) -> Seen:
        """Read all that `loader` yields, from a fixed seed."""
        seen = Seen(self.task)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for inputs, targets in self._checked_pairs(loader):
                seen.add_(inputs, targets)
        if not seen.count:
            raise BadInputError(f"The data's `{loader}` yields nothing.")
        return seen

    def _first_labels(self) -> Tensor:
        """Return the labels of the first training batches."""
        labels: list[Tensor] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for _, some in self._pairs(LOADERS["train"]):
                if labels and some.shape[1:] != labels[0].shape[1:]:
                    raise BadInputError(
                        "The data's `train_dataloader` must yield labels of one shape, but got "
                        f"{tuple(labels[0].shape[1:])} and {tuple(some.shape[1:])}."
                    )
                labels.append(some)
                if sum(map(len, labels)) >= LABELS_LOOKED_AT:
                    break
        if not labels:
            raise BadInputError("The data's `train_dataloader` yields nothing.")
        return torch.cat(labels)

    def _checked_pairs(self, loader: str) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and targets."""
        for number, (inputs, labels) in enumerate(self._pairs(loader)):
            yield _checked(inputs, labels, self.task, loader, number)

    def _with_targets(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        inputs, labels = batch
        return inputs, self.task.targets(labels)

    def _pairs(self, loader: str) -> Iterator[tuple[Tensor, Tensor]]:
        module = self._module
        before, module.trainer = module.trainer, MEASURING
        try:
            with blaming(f"The data's `{loader}`"):
                batches = getattr(module, loader)()
                if batches is None:
                    raise BadInputError(f"The data's `{loader}` returned nothing.")
            for batch in self._guarded(batches, loader):
                with blaming("What the data do to a batch on its way to the device"):
                    moved = module.on_before_batch_transfer(batch, 0)
                    moved = module.transfer_batch_to_device(moved, torch.device("cpu"), 0)
                    moved = module.on_after_batch_transfer(moved, 0)
                yield _pair(moved, loader)
        finally:
            module.trainer = before

    def _guarded(self, batches: Iterable[Any], loader: str) -> Iterator[Any]:
        with blaming(f"The data's `{loader}`"):
            yield from batches


def _pair(batch: Any, loader: str) -> tuple[Tensor, Tensor]:  # noqa: ANN401 - the user's
    """Return inputs and labels of a batch, on the CPU."""
    if not (
        isinstance(batch, tuple | list)
        and len(batch) == 2
        and all(isinstance(item, Tensor) for item in batch)
    ):
        raise BadInputError(f"The data's `{loader}` must yield (inputs, labels), two tensors.")
    inputs, labels = batch[0].detach().cpu(), batch[1].detach().cpu()
    if not inputs.dim() or not labels.dim():
        raise BadInputError(
            f"The data's `{loader}` must yield batches, but got inputs {tuple(inputs.shape)} and "
            f"labels {tuple(labels.shape)}: let a DataLoader have a `batch_size`."
        )
    if inputs.dtype not in INPUTS:
        raise BadInputError(
            f"The data's `{loader}` must yield inputs of float32 or whole numbers, but got "
            f"{str(inputs.dtype).removeprefix('torch.')}: let the data cast them."
        )
    return inputs, labels


def _checked(
    inputs: Tensor, labels: Tensor, task: Task, loader: str, number: int
) -> tuple[Tensor, Tensor]:
    """Return the inputs and the targets of the batch of that number."""
    try:
        targets = task.targets(labels)
    except BadInputError as err:
        raise BadInputError(f"The data's `{loader}`: {err}") from err
    if targets.shape[:1] != inputs.shape[:1]:
        raise BadInputError(
            f"The data's `{loader}` must yield as many labels as inputs, but got "
            f"{tuple(labels.shape)} of {tuple(inputs.shape)}."
        )
    if inputs.is_floating_point() and not bool(inputs.isfinite().all()):
        index = int((~inputs.isfinite()).flatten(1).any(1).nonzero()[0])
        what = inputs[index][~inputs[index].isfinite()][0].item()
        raise BadInputError(
            f"The data's `{loader}` must yield finite inputs, but input {index} of batch {number} "
            f"has {what}."
        )
    return inputs, targets
