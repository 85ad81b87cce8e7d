"""A part of an image data set: images and classes, split and batched by index."""

import hashlib
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from models.errors import BadInputError
from models.pixels import channel_statistics

SPLIT_SEED = 0
"""The split belongs to the data, so it does not change with the seed of a study."""


class ImagePart(Dataset[tuple[Tensor, Tensor]]):
    """Images and their classes; indexed by a tensor of indices, it gives a batch."""

    labels: Tensor
    """int64, (N,), values 0..num_classes-1."""

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return images, uint8 (B, C, H, W), and labels, (B,)."""

    @abstractmethod
    def pick(self, index: Tensor) -> "ImagePart":
        """Return the part that has these alone."""

    @abstractmethod
    def add_to(self, digest: "hashlib._Hash") -> None:
        """Hash images and labels."""

    def unhashed(self) -> str:
        """Return how much of it is hashed, in words; "" if all is."""
        return ""

    @property
    @abstractmethod
    def image_bytes(self) -> int:
        """Of one image."""

    @property
    def workers(self) -> int:
        """How many processes are worth to have batches made by; 0 is this one."""
        return 0

    def channel_statistics(self) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation (C,) of the pixels in [0, 1]."""
        return channel_statistics(self[torch.arange(len(self))][0])

    def to(self, device: torch.device) -> "ImagePart":
        """Return the same on `device`, if it can be there."""
        return self


@dataclass(frozen=True, slots=True)
class LabelledImages(ImagePart):
    """Images in memory."""

    images: Tensor
    """uint8, (N, C, H, W)."""
    labels: Tensor
    """int64, (N,), values 0..num_classes-1."""

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        index = index.to(self.labels.device)
        return self.images[index], self.labels[index]

    def pick(self, index: Tensor) -> "LabelledImages":
        """Return the part that has these alone."""
        return LabelledImages(*self[index])

    def add_to(self, digest: "hashlib._Hash") -> None:
        """Hash every image and label."""
        digest.update(str(tuple(self.images.shape)).encode())
        digest.update(self.images.cpu().numpy().data)
        digest.update(self.labels.cpu().numpy().data)

    @property
    def image_bytes(self) -> int:
        """Of one image."""
        return self.images[0].numel()

    def channel_statistics(self) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation (C,) of all pixels in [0, 1]."""
        return channel_statistics(self.images)

    def to(self, device: torch.device) -> "LabelledImages":
        """Return the same on `device`."""
        return LabelledImages(self.images.to(device), self.labels.to(device))


def stratified_split(labelled: ImagePart, *, held_out: float) -> tuple[ImagePart, ImagePart]:
    """Split off the share `held_out` so that each class keeps its share; the seed is fixed.

    Returns:
        What is kept and what is held out, each in the order of the original.

    Raises:
        BadInputError: A class has too few images to be in both.
    """
    try:
        kept, rest = train_test_split(
            torch.arange(len(labelled)).numpy(),
            test_size=held_out,
            random_state=SPLIT_SEED,
            stratify=labelled.labels.numpy(),
        )
    except ValueError as err:
        raise BadInputError(f"{len(labelled)} images cannot be split by class: {err}") from err
    kept.sort()
    rest.sort()
    return labelled.pick(torch.from_numpy(kept)), labelled.pick(torch.from_numpy(rest))


def stratified_share(labelled: ImagePart, share: float) -> ImagePart:
    """Return the share of `labelled` in which each class keeps its own."""
    return labelled if share == 1 else stratified_split(labelled, held_out=share)[1]


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
