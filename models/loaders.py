"""A user's `LightningDataModule`, of either Lightning, as the data of a study.

Its loaders are read before anything trains: what they yield is checked, counted and hashed; whole
where that is little, else the beginning alone, and a fixed sample of each data set. What is asked
of the network follows from the labels of the first batches, unless the user says it. The training
loader is read twice from one seed of torch, as only what repeats can be hashed. What the module
does to a batch on its way to the device is done here, too, as where nothing trains: the file that
is shipped takes what comes out of that.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from models.batches import checked, unpacked
from models.classifier import Classifier
from models.data_source import DataSource, Part
from models.errors import BadInputError
from models.inputs import Given, Inputs, joined, kinds_of, shapes_of, tensors_of
from models.lightning import handed_over
from models.reading import LOADERS, Reading
from models.seen import Seen
from models.tasks import TASKS, guessed
from models.tasks.base import Task

LABELS_LOOKED_AT = 1000
"""Of which the task is guessed."""

WHOLE_BYTES, WHOLE_INPUTS = 2**28, 2**18
"""A loader that yields more than this is not read to its end, nor are so many bytes kept."""


class LoaderData(DataSource):
    """Inputs and labels as the loaders of a `LightningDataModule` yield them."""

    def __init__(self, module: Any) -> None:  # noqa: ANN401 - of either Lightning
        self._module = module
        self._reading = Reading(module)
        self._asked: Task | None = None
        self._seen: dict[str, Seen] = {}
        self._seen_again: Seen
        self._inputs: Given | None = None
        """The first training inputs, as many as were asked for."""
        self._first: Given | None = None
        """Of the first training batch, which all others are like."""

    def ask(self, task: str) -> None:
        """Take the labels for those of this task; data that were set up are to be so again."""
        if task in TASKS:
            self._seen = {} if task != self.task.name else self._seen
            self.task = self._asked = TASKS[task]
        super().ask(task)

    def setup(self) -> None:
        """Let the module prepare and set up; look at its loaders, and count the classes."""
        if self._seen:
            return
        self._reading.prepare()
        if self._asked is None:
            labels = self._first_labels()
            self.task = TASKS["own"] if labels is None else guessed(labels)
        seen = {part: self._look(part) for part in LOADERS}
        self._seen_again = self._look("train")
        declared = getattr(self._module, "num_classes", None)
        most = max(part.outputs for part in seen.values())
        self.num_classes = declared if isinstance(declared, int) else most
        for part, loader in LOADERS.items():
            seen[part].require_classes(self.num_classes, loader)
        axes = zip(*(each.varying_axes() for each in seen.values()), strict=True)
        self.varying_axes = [frozenset[int]().union(*each) for each in axes]
        self._seen = seen

    def for_training(self, batch_size: int, seed: int, module: object) -> Any:  # noqa: ANN401 - of either Lightning
        """Return the user's module; its batch size is its own, its shuffling follows `seed`.

        A module that trains itself gets its batches as they are.
        """
        torch.manual_seed(seed)
        change = self._with_targets if isinstance(module, Classifier) else None
        return handed_over(self._module, module, change)

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the number of batches of the training loader; see `sizes`."""
        seen = self._seen["train"]
        known = None if seen.is_whole else self._reading.count_batches("train")
        return known or seen.batches

    @property
    def fewest_in_a_batch(self) -> int:
        """The least number of inputs in a training batch that was read."""
        return self._seen["train"].fewest

    @property
    def knows_length(self) -> bool:
        """Not of a stream that was not read to its end."""
        seen = self._seen["train"]
        return seen.is_whole or self._reading.count_batches("train") is not None

    def batches(self, part: Part) -> Iterator[tuple[Given, Tensor]]:
        """Yield what the validation or test loader yields."""
        for given, _, targets in self._checked(part):
            yield given, targets

    def step_batches(self, part: Part) -> Iterator[Any]:
        """Yield what the loader yields, as it is."""
        yield from self._reading.batches(part)

    def training_inputs(self, count: int) -> Given:
        """Return the first inputs that the training loader yields, the same ones each time.

        Where their lengths differ, those that are as long as the first.
        """
        if self._inputs is not None and len(self._inputs) >= count:
            return self._inputs[:count]
        taken: list[Given] = []
        for found in self._reading.training_inputs():
            given = self._in_order(found, LOADERS["train"])
            if not taken or shapes_of(given) == shapes_of(taken[0]):
                taken.append(given)
            if sum(map(len, taken)) >= count:
                break
        inputs = joined(taken)[:count]
        if sum(each.nbytes for each in tensors_of(inputs)) <= WHOLE_BYTES:
            self._inputs = inputs
        return inputs

    def sizes(self) -> dict[str, int]:
        """Return the number of inputs by part.

        Of a stream that is not read to its end and does not tell its length, what was read of it.
        """
        return {part: self._size(part) for part in LOADERS}

    def fingerprint(self) -> str:
        """Return a hash over every input and label of the three parts, and over training's order.

        What differs between the two readings of the training loader is left out: the order where
        a generator of its own shuffles, the inputs where Python's or NumPy's generator changes
        them. The number of each label and the sizes of the batches then still count. Of what was
        not read to its end, the beginning counts, the lengths, and a sample.
        """
        digest = hashlib.sha256()
        for part in ("validation", "test"):
            digest.update(f"{self._seen[part].samples} ".encode())
        for fact, again in zip(self._seen["train"].facts(), self._seen_again.facts(), strict=True):
            digest.update(f"{fact if fact == again else None} ".encode())
        for part, seen in self._seen.items():
            if not seen.is_whole:
                told = f"{self._size(part)} {self.num_classes} {self._reading.sample(part)} "
                digest.update(told.encode())
        return digest.hexdigest()[:16]

    def unhashed(self) -> str:
        """Return which parts the fingerprint does not cover wholly, and how far, in words."""
        return ", ".join(
            f"{part} (the first {seen.count:,} of {self._size(part):,})"
            for part, seen in self._seen.items()
            if not seen.is_whole
        )

    def _size(self, part: str) -> int:
        seen = self._seen[part]
        if seen.is_whole:
            return seen.count
        batches = self._reading.count_batches(part) or seen.batches
        return self._reading.count(part) or batches * seen.count // seen.batches

    def _look(self, part: str) -> Seen:
        """Read what a loader yields from a fixed seed, to its end if it is not too much."""
        seen = Seen(self.task)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for given, labels, targets in self._checked(part):
                seen.add_(given, labels, targets)
                if seen.bytes > WHOLE_BYTES or seen.count > WHOLE_INPUTS:
                    return seen
        if not seen.count:
            raise BadInputError(f"The data's `{LOADERS[part]}` yields nothing.")
        seen.is_whole = True
        return seen

    def _first_labels(self) -> Tensor | None:
        """Return the labels of the first training batches; None if there are none."""
        labels: list[Tensor] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for _, some in self._reading.unpacked("train"):
                if not isinstance(some, Tensor):
                    return None
                if labels and some.shape[1:] != labels[0].shape[1:]:
                    if some.dim() == labels[0].dim():  # as of texts of any length
                        break
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

    def _checked(self, part: str) -> Iterator[tuple[Given, Any, Tensor]]:
        """Yield inputs, labels and targets of each batch."""
        for number, (found, labels) in enumerate(self._reading.unpacked(part)):
            given = self._in_order(found, LOADERS[part])
            targets = checked(given, labels, self.task, LOADERS[part], number)
            if self._seen and not self._seen[part].is_whole:
                self._require_classes(targets, LOADERS[part])
            yield given, labels, targets

    def _in_order(self, given: Given, loader: str) -> Given:
        """Return inputs in the order of the first training batch.

        Raises:
            BadInputError: They are others, or of other types.
        """
        if self._first is None:
            self._first = given
        known, names = self._first, given.names if isinstance(given, Inputs) else ()
        expected = known.names if isinstance(known, Inputs) else ()
        if isinstance(given, Inputs) and sorted(names) == sorted(expected) and names:
            given = Inputs(tuple(given.tensors[names.index(name)] for name in expected), expected)
        if kinds_of(given) != kinds_of(known):
            raise BadInputError(
                f"The data's `{loader}` must yield the inputs of the first training batch, "
                f"{kinds_of(known)}, but got {kinds_of(given)}."
            )
        return given

    def _require_classes(self, targets: Tensor, loader: str) -> None:
        """Raise `BadInputError` where a class is none of those that are known."""
        most = self.num_classes
        if self.task.has_classes and not bool(((targets >= 0) & (targets < most)).all()):
            raise BadInputError(
                f"The data's `{loader}` must yield labels in [0, {most}), but got "
                f"{int(targets.max())}: let the data say `num_classes`."
            )

    def _with_targets(self, batch: Any) -> tuple[Given, Tensor]:  # noqa: ANN401 - the user's
        given, labels = unpacked(batch, LOADERS["train"])
        if not isinstance(labels, Tensor):
            raise BadInputError("The data yield no labels: only a LightningModule learns so.")
        targets = self.task.targets(labels)
        if not self._seen["train"].is_whole:
            self._require_classes(targets, LOADERS["train"])
        return self._in_order(given, LOADERS["train"]), targets
