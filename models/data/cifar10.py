"""CIFAR-10: 50,000 training and 10,000 test images of ten kinds of things, 32x32, in colour.

Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images".
"""

import pickle

import torch
from torchvision.datasets import CIFAR10 as TorchvisionCIFAR10  # noqa: N811 - ours is the short name

from models.errors import BadInputError
from models.image_parts import LabelledImages
from models.images import ImageData
from models.registry import DATA


class CIFAR10(ImageData):
    """CIFAR-10 as torchvision lays it out; used as it is when there, else downloaded."""

    num_classes = 10
    augmentation = "crop-flip"
    normalizes = True

    def load(self) -> tuple[LabelledImages, LabelledImages]:
        """Return the training and the test part; see `ImageData.load`."""
        return self._part(train=True), self._part(train=False)

    def _part(self, *, train: bool) -> LabelledImages:
        root = self.options.root
        folder = root / TorchvisionCIFAR10.base_folder
        present = folder.is_dir()
        try:  # torchvision compares checksums before it unpickles
            part = TorchvisionCIFAR10(root, train=train, download=not present)
        except (RuntimeError, OSError, ValueError, EOFError, pickle.UnpicklingError) as err:
            problem = "cannot be read" if present else "is not there and cannot be downloaded"
            raise BadInputError(
                f"CIFAR-10 {problem}: {folder} must hold data_batch_1 to data_batch_5, test_batch "
                "and batches.meta. `--data folder:PATH` takes any folder of images."
            ) from err
        images = torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous()
        return LabelledImages(images, torch.tensor(part.targets))


DATA.add("cifar10", CIFAR10)
