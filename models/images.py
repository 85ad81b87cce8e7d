"""Image data held in memory as uint8, split and batched by index."""

import hashlib
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from pytorch_lightning import LightningDataModule
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

VALIDATION_FRACTION = 0.3
"""Share of the training part that is held out for validation: the paper's."""

SPLIT_SEED = 0
"""The split belongs to the data, so it does not change with the seed of a study."""


@dataclass(frozen=True, slots=True)
class LabelledImages(Dataset[tuple[Tensor, Tensor]]):
    """Images and their classes; indexed by a tensor of indices, it gives a batch."""

    images: Tensor
    """uint8, (N, C, H, W)."""
    labels: Tensor
    """int64, (N,), values 0..num_classes-1."""

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        return self.images[index], self.labels[index]


def to_pixels(images: Tensor) -> Tensor:
    """Return uint8 `images` as float32 in [0, 1]: what every network and artifact takes."""
    return images.to(torch.float32).div_(255)


def stratified_split(
    labelled: LabelledImages, *, held_out: float
) -> tuple[LabelledImages, LabelledImages]:
    """Split off the share `held_out` so that each class keeps its share; the seed is fixed.

    Returns:
        What is kept and what is held out, each in the order of the original.
    """
    kept, rest = train_test_split(
        torch.arange(len(labelled)).numpy(),
        test_size=held_out,
        random_state=SPLIT_SEED,
        stratify=labelled.labels.numpy(),
    )
    kept.sort()
    rest.sort()
    first, second = torch.from_numpy(kept), torch.from_numpy(rest)
    return LabelledImages(*labelled[first]), LabelledImages(*labelled[second])


class BatchIndices(Sampler[Tensor]):
    """Indices of whole batches, one int64 tensor each; shuffled anew each epoch with a seed."""

    def __init__(self, count: int, batch_size: int, shuffle_seed: int | None) -> None:
        self._count = count
        self._batch_size = batch_size
        self._generator = None
        if shuffle_seed is not None:
            self._generator = torch.Generator().manual_seed(shuffle_seed)

    def __len__(self) -> int:
        return -(-self._count // self._batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        if self._generator is None:
            order = torch.arange(self._count)
        else:
            order = torch.randperm(self._count, generator=self._generator)
        return iter(torch.split(order, self._batch_size))


def batches(
    labelled: LabelledImages, batch_size: int, *, shuffle_seed: int | None = None
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Return a loader of batches (uint8 (N, C, H, W), int64 (N,)); in order without a seed."""
    sampler = BatchIndices(len(labelled), batch_size, shuffle_seed)
    return DataLoader(labelled, sampler=sampler, batch_size=None)


class ImageData(LightningDataModule):
    """Data that fits into memory: a training part, 30 % of it held out, and a test part.

    A data set is a subclass that says its `num_classes` and implements `load`. Nothing is read or
    downloaded before `setup`.
    """

    num_classes: int
    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages

    @abstractmethod
    def load(self) -> tuple[LabelledImages, LabelledImages]:
        """Read, if need be download, and return the training and the test part.

        Raises:
            BadInputError: The data are not there and cannot be fetched, or cannot be read.
        """

    def setup(self, stage: str | None = None) -> None:
        """Read the data and hold out the validation part; a second call does nothing."""
        if not hasattr(self, "test"):
            training, self.test = self.load()
            self.train, self.validation = stratified_split(training, held_out=VALIDATION_FRACTION)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    def fingerprint(self) -> str:
        """Return a hash over every image and label of the three parts, 16 hexadecimal digits."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            digest.update(str(tuple(part.images.shape)).encode())
            digest.update(part.images.numpy().data)
            digest.update(part.labels.numpy().data)
        return digest.hexdigest()[:16]
