"""Forecasting: sunspots of the next year, from those of the eleven before (statsmodels' series).

    python -m search.run --model docs/examples/forecasting.py:Forecaster \
        --data docs/examples/forecasting.py:Sunspots --sparsity 0,0.8 --precision 32,8

Files are scored by the mean absolute error, in hundreds of spots.
"""

import torch
from pytorch_lightning import LightningDataModule
from statsmodels.datasets import sunspots
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

YEARS = 11


class Forecaster(nn.Module):
    """A GRU, and what is read off its last state."""

    def __init__(self) -> None:
        super().__init__()
        self.years = nn.GRU(1, 32, batch_first=True)
        self.hidden = nn.Linear(32, 64)
        self.next = nn.Linear(64, 1)

    def forward(self, spots: Tensor) -> Tensor:
        """Return the next year's spots, (N, 1), after some years', (N, years, 1)."""
        states, _ = self.years(spots)
        after: Tensor = self.next(torch.relu(self.hidden(states[:, -1])))
        return after


class Sunspots(LightningDataModule):
    """The years 1700 to 2008, in order: 200 to learn from, 49 to choose by, 49 to test on."""

    def setup(self, stage: str) -> None:
        """Cut the series into windows."""
        series = sunspots.load_pandas().data["SUNACTIVITY"].to_numpy()
        windows = torch.tensor(series, dtype=torch.float32).unfold(0, YEARS + 1, 1) / 100
        inputs, targets = windows[:, :-1, None], windows[:, -1]
        self.parts = [
            TensorDataset(inputs[first:last], targets[first:last])
            for first, last in ((0, 200), (200, 249), (249, 298))
        ]

    def train_dataloader(self) -> DataLoader:
        """Return what is learnt from."""
        return DataLoader(self.parts[0], batch_size=20, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Return what is chosen by."""
        return DataLoader(self.parts[1], batch_size=49)

    def test_dataloader(self) -> DataLoader:
        """Return what is tested on."""
        return DataLoader(self.parts[2], batch_size=49)
