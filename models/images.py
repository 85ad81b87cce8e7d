"""Image data as uint8, in memory or on disk: split, resized, augmented and batched by index."""

import hashlib
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from models.classifier import Classifier
from models.data_source import Augmentation, DataOptions, DataSource, Part, part_loader
from models.image_parts import BatchIndices, ImagePart, stratified_share, stratified_split
from models.lightning import handed_over
from models.pixels import SHIFT_SHARE, crop_and_flip, resize, to_pixels

EVALUATION_BATCH = 128
"""With 500, ONNX Runtime takes almost twice as long for the CNN, and as long for AlexNet."""

LONGEST_RUN = 16
LARGEST_RUN_BYTES = 2_000_000
"""Training gets so many small batches at once, as a `Trainer` does much for each: without, an
epoch of LeNet-300-100 takes 1.13 times as long, of the CNN 1.04 (`benchmarks.weighed runs`)."""


class ImageData(DataSource):
    """Images of classes: a training part, some of it held out, and a test part.

    A data set is a subclass that says its `num_classes` and implements `load`.
    """

    augmentation: Augmentation = "none"
    """What training images undergo unless the user says otherwise."""
    normalizes = False
    """Whether networks get the mean and standard deviation of the training part."""

    def __init__(self, options: DataOptions | None = None) -> None:
        self.options = options or DataOptions()
        self.train: ImagePart
        self.validation: ImagePart
        self.test: ImagePart

    @abstractmethod
    def load(self) -> tuple[ImagePart, ImagePart]:
        """Read, if need be download, and return the training and the test part.

        Raises:
            BadInputError: The data are not there and cannot be fetched, or cannot be read.
        """

    def setup(self) -> None:
        """Read the data and hold out the validation part; a second call does nothing."""
        if hasattr(self, "test"):
            return
        training, test = self.load()
        training = stratified_share(training, self.options.train_fraction)
        self.train, self.validation = stratified_split(training, held_out=self.options.held_out)
        self.test = stratified_share(test, self.options.test_fraction)
        if self.normalizes:
            self.mean_and_std = self.train.channel_statistics()

    def place(self, device: torch.device) -> None:
        """Keep images and labels on `device`: a batch of uint8 is not worth a transfer."""
        self.train, self.validation, self.test = (
            part.to(device) for part in (self.train, self.validation, self.test)
        )

    def prepare(self, images: Tensor, *, augment: bool) -> Tensor:
        """Return uint8 `images` as the network takes them, on the device where they are."""
        augmentation = self.options.augment or self.augmentation
        if augment and augmentation == "crop-flip":
            images = crop_and_flip(images)
        if augment and augmentation == "shift":
            images = crop_and_flip(images, share=SHIFT_SHARE, flip=False)
        pixels = resize(to_pixels(images), self.options.input_size)
        return pixels.contiguous(memory_format=torch.channels_last)

    def for_training(self, batch_size: int, seed: int, module: object) -> Any:  # noqa: ANN401 - of either Lightning
        """Return batches of uint8 by index, prepared after their transfer to the device."""
        if not isinstance(module, Classifier):
            return handed_over(_TrainingBatches(self, batch_size, seed, None, module), module)
        longest = LARGEST_RUN_BYTES // (self.train.image_bytes * batch_size)
        run = max(1, min(LONGEST_RUN, longest))
        return _TrainingBatches(self, batch_size, seed, run, module)

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the number of batches of the training part, the last one maybe smaller."""
        return -(-len(self.train) // batch_size)

    def batches(self, part: Part) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield pixels and labels of a whole part; see `DataSource.batches`."""
        labelled = self.validation if part == "validation" else self.test
        indices = BatchIndices(len(labelled), EVALUATION_BATCH, None)
        reading: Iterable[tuple[Tensor, Tensor]] = map(labelled.__getitem__, indices)
        if labelled.workers:  # of its own generator, as a loader draws from one
            reading = _loader(labelled, indices, batch_size=None, generator=torch.Generator())
        for images, labels in reading:
            yield self.prepare(images, augment=False).cpu(), labels.cpu()

    def training_inputs(self, count: int) -> Tensor:
        """Return training images as pixels, evenly spread, without augmentation."""
        total = len(self.train)
        spread = torch.arange(min(count, total)) * total // max(1, min(count, total))
        images, _ = self.train[spread]
        return self.prepare(images, augment=False).cpu()

    def sizes(self) -> dict[str, int]:
        """Return the number of images by part."""
        return {name: len(getattr(self, name)) for name in ("train", "validation", "test")}

    def unhashed(self) -> str:
        """Return the parts that are known by a sample."""
        parts = {name: getattr(self, name) for name in ("train", "validation", "test")}
        return ", ".join(
            f"{name} ({told})" for name, part in parts.items() if (told := part.unhashed())
        )

    def fingerprint(self) -> str:
        """Return a hash over every image and label of the three parts, and over the options."""
        digest = hashlib.sha256()
        root, memory = self.options.root, self.options.data_memory_gb
        if self.options != DataOptions(root=root, data_memory_gb=memory):
            decides = (self.options.input_size, self.options.augment)  # shares show in the parts
            digest.update(repr(decides).encode())
        for part in (self.train, self.validation, self.test):
            part.add_to(digest)
        return digest.hexdigest()[:16]


def _loader(labelled: ImagePart, indices: BatchIndices, **settings: Any) -> DataLoader[Any]:
    """Return a loader of batches; those that are read from disk are read ahead."""
    workers = labelled.workers
    return DataLoader(
        labelled,
        sampler=indices,
        num_workers=workers,
        persistent_workers=workers > 0,
        **settings,
    )


class _TrainingBatches(LightningDataModule):
    """One stage's view of `ImageData`: its batches, or runs of `run` of them, for a module."""

    def __init__(
        self,
        data: ImageData,
        batch_size: int,
        seed: int,
        run: int | None,
        module: Any,  # noqa: ANN401 - of either Lightning
    ) -> None:
        super().__init__()
        self._data = data
        self._batch_size = batch_size
        self._seed = seed
        self._run = run
        self._module = module

    def train_dataloader(self) -> DataLoader[Any]:
        """Return a loader of uint8 images (N, C, H, W) and labels (N,), or of lists of these."""
        labelled = self._data.train
        sampler = BatchIndices(len(labelled), self._batch_size, self._seed)
        collate = None if self._run is None else list
        return _loader(labelled, sampler, batch_size=self._run, collate_fn=collate)

    def val_dataloader(self) -> DataLoader[Any]:
        """Return a loader of the validation part, of images as the network takes them."""
        return part_loader(self._data, "validation")

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:  # noqa: ANN401 - Lightning's
        """Prepare the images where they are now; those of a run one batch after the other.

        Then the module's own hook acts, which Lightning leaves out for this one.
        """
        if self._run is not None:
            return map(self._prepared, batch)
        if batch[0].is_floating_point():  # of validation
            return self._module.on_after_batch_transfer(batch, dataloader_idx)
        return self._module.on_after_batch_transfer(self._prepared(batch), dataloader_idx)

    def _prepared(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        images, labels = batch
        return self._data.prepare(images, augment=True), labels
