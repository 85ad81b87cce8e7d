"""What a trial needs of data: training batches, held-out parts, examples, a fingerprint."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from models.checks import require
from models.errors import BadInputError
from models.inputs import Given, shapes_of
from models.tasks import MULTICLASS, TASKS
from models.tasks.base import Task

Part = Literal["validation", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
Augmentation = Literal["none", "shift", "crop-flip"]
AUGMENTATIONS: tuple[Augmentation, ...] = get_args(Augmentation)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataOptions:
    """What a user can say about built-in data."""

    root: Path = Path("data")
    """Folder in which files are found or downloaded to."""
    input_size: int | None = None
    """Height and width that images are resized to, pixels; None keeps theirs."""
    train_fraction: float = 1.0
    """Share of the training part that is used, stratified."""
    held_out: float = 0.3
    """Share of that which is held out for validation, stratified; the paper's."""
    test_fraction: float = 1.0
    """Share of the test part that is used, stratified."""
    augment: Augmentation | None = None
    """Random changes of training images; None is what the data set's file says."""
    data_memory_gb: float | None = None
    """What the images of a folder may take in memory, 10^9 bytes; if it is more, and more than
    2^30 bytes, they stay on disk. None is a quarter of the machine's. It decides no result."""

    def __post_init__(self) -> None:
        if self.input_size is not None:
            require(self.input_size >= 1, "input_size >= 1", input_size=self.input_size)
        memory = self.data_memory_gb
        require(memory is None or memory >= 0, "data_memory_gb >= 0", data_memory_gb=memory)
        for name in ("train_fraction", "test_fraction"):
            value = getattr(self, name)
            require(0 < value <= 1, f"0 < {name} <= 1", **{name: value})
        require(0 < self.held_out < 1, "0 < held_out < 1", held_out=self.held_out)
        require(
            self.augment is None or self.augment in AUGMENTATIONS,
            f"augment in {AUGMENTATIONS}",
            augment=self.augment,
        )


class DataSource(ABC):
    """Labelled inputs in three parts: training, validation, test.

    Inputs are what the network and the artifact take: for images float32 (N, C, H, W) in [0, 1];
    where a network takes several tensors, all of them, see `models.inputs`.
    Nothing is read or downloaded before `setup`.
    """

    num_classes: int
    """Numbers in an answer: of classes, or of what else is asked."""
    task: Task = MULTICLASS
    """What is asked of the network."""
    mean_and_std: tuple[Tensor, Tensor] | None = None
    """Per channel, (C,), for networks that have no normalization of their own; None for none."""
    varying_axes: Sequence[frozenset[int]] = ()
    """The axes, beside the first, of each input whose length differs between batches."""

    def ask(self, task: str) -> None:
        """Ask this of the network, before `setup`.

        Raises:
            BadInputError: There is no such task, or not for these data.
        """
        if task not in TASKS:
            raise BadInputError(f"Unknown task {task!r}. Known: {', '.join(TASKS)}.")
        if task != self.task.name:
            raise BadInputError(f"The task of these data is {self.task.name}, not {task}.")

    @abstractmethod
    def setup(self) -> None:
        """Read the data; a second call does nothing.

        Raises:
            BadInputError: They are not there and cannot be fetched, or cannot be read.
        """

    @abstractmethod
    def for_training(self, batch_size: int, seed: int, module: object) -> Any:  # noqa: ANN401 - of either Lightning
        """Return what the `Trainer` of `module` takes; the order of its batches follows the seed.

        Our own `Classifier` may be given several batches at once, as an iterator of them.
        """

    @abstractmethod
    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the number of training batches of an epoch."""

    @abstractmethod
    def batches(self, part: Part) -> Iterator[tuple[Given, Tensor]]:
        """Yield inputs and targets of N of a whole part, in order, on the CPU.

        Targets are as `task.targets` gives them: of classes int64 (N,).
        """

    def step_batches(self, part: Part) -> Iterator[Any]:
        """Yield the same as the steps of a `LightningModule` take it."""
        return self.batches(part)

    @abstractmethod
    def training_inputs(self, count: int) -> Given:
        """Return `count` training inputs, or all if there are fewer, on the CPU.

        Always the same ones; of all classes where the data are in memory, as folders are sorted.
        """

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Return how many inputs "train", "validation" and "test" hold."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash that changes when the data do, 16 hexadecimal digits."""

    def unhashed(self) -> str:
        """Return which parts it covers by a sample only, in words; "" if none."""
        return ""

    @property
    def fewest_in_a_batch(self) -> int:
        """The least number of inputs in a training batch, where the data decide it."""
        return 2

    @property
    def knows_length(self) -> bool:
        """Whether `steps_per_epoch` is right, not only the least that it can be."""
        return True

    def place(self, device: torch.device) -> None:  # noqa: B027 - doing nothing is right for most
        """Keep the data on `device`, where they can be kept there; else do nothing."""

    @property
    def input_shape(self) -> tuple[Any, ...]:
        """Shape of one input: channels, height and width of an image; of several, one each."""
        return shapes_of(self.training_inputs(1))


def part_loader(data: DataSource, part: Part) -> DataLoader[Any]:
    """Return a loader of a part's batches, each as `data` yield it."""
    return DataLoader(_PartBatches(data, part), batch_size=None, collate_fn=_as_it_is)


def _as_it_is(batch: Any) -> Any:  # noqa: ANN401 - the user's
    return batch


class _PartBatches(IterableDataset[Any]):
    def __init__(self, data: DataSource, part: Part) -> None:
        self._data = data
        self._part = part

    def __iter__(self) -> Iterator[Any]:
        return self._data.step_batches(self._part)
