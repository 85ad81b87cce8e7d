"""Regression: how a disease progresses in a year, by ten measurements (scikit-learn's diabetes).

    python -m search.run --model docs/examples/regression.py:network \
        --data docs/examples/regression.py:Diabetes --sparsity 0,0.8 --precision 32,8

Files are scored by the mean absolute error; others by `--metric R2Score` and so on.
"""

import torch
from pytorch_lightning import LightningDataModule
from sklearn.datasets import load_diabetes
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def network() -> nn.Module:
    """Return a perceptron with batch norms."""
    return nn.Sequential(
        nn.Linear(10, 64),
        nn.BatchNorm1d(64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.BatchNorm1d(64),
        nn.ReLU(),
        nn.Linear(64, 1),
    )


class Diabetes(LightningDataModule):
    """442 people: 300 to learn from, 71 to choose by, 71 to test on."""

    def setup(self, stage: str) -> None:
        """Read and shuffle them; targets are in hundreds."""
        inputs, progress = load_diabetes(return_X_y=True)
        order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
        self.people = TensorDataset(
            20 * torch.from_numpy(inputs).float()[order],
            torch.from_numpy(progress).float()[order] / 100,
        )

    def _loader(self, first: int, last: int, *, shuffle: bool = False) -> DataLoader:
        people = TensorDataset(*self.people[first:last])
        return DataLoader(people, batch_size=32, shuffle=shuffle)

    def train_dataloader(self) -> DataLoader:
        """Return the first 300."""
        return self._loader(0, 300, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Return the next 71."""
        return self._loader(300, 371)

    def test_dataloader(self) -> DataLoader:
        """Return the last 71."""
        return self._loader(371, 442)
