"""MNIST: 60,000 training and 10,000 test images of digits, 28x28, one channel.

Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits".
"""

from torchvision.datasets import MNIST as TorchvisionMNIST  # noqa: N811 - ours has the short name

from models.errors import BadInputError
from models.image_parts import LabelledImages
from models.images import ImageData
from models.registry import DATA

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


class MNIST(ImageData):
    """MNIST as torchvision lays it out; used as it is when there, else downloaded."""

    num_classes = 10

    def load(self) -> tuple[LabelledImages, LabelledImages]:
        """Return the training and the test part; see `ImageData.load`."""
        return self._part(train=True), self._part(train=False)

    def _part(self, *, train: bool) -> LabelledImages:
        folder = self.options.root / "MNIST" / "raw"
        present = all((folder / name).is_file() for name in FILES)
        try:
            part = TorchvisionMNIST(self.options.root, train=train, download=not present)
        except (RuntimeError, OSError, ValueError, AssertionError) as err:
            problem = "cannot be read" if present else "is not there and cannot be downloaded"
            raise BadInputError(
                f"MNIST {problem}: {folder} must hold {', '.join(FILES)}. "
                "`--data mnist5k` needs no files and no network."
            ) from err
        return LabelledImages(part.data.unsqueeze(1), part.targets)


DATA.add("mnist", MNIST)
