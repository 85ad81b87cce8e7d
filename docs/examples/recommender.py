"""A recommender: whether a person likes a film, by an embedding of each.

    python -m search.run --model docs/examples/recommender.py:Recommender \
        --data docs/examples/recommender.py:Likes --metric BinaryAUROC \
        --sparsity 0,0.8 --precision 32,8

A file takes `person` and `film`, their numbers as int64, (N,) each. The likes are made, from a
seed.
"""

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

PEOPLE, FILMS = 60, 40


class Recommender(nn.Module):
    """Two embeddings, and a small perceptron over both."""

    def __init__(self) -> None:
        super().__init__()
        self.people = nn.Embedding(PEOPLE, 16)
        self.films = nn.Embedding(FILMS, 16)
        self.likes = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, person: Tensor, film: Tensor) -> Tensor:
        """Return a logit, (N, 1), of people and films, (N,) int64 each."""
        both = torch.cat([self.people(person), self.films(film)], dim=1)
        logits: Tensor = self.likes(both)
        return logits


class Likes(LightningDataModule):
    """6,000 pairs: 4,000 to learn from, 1,000 to choose by, 1,000 to test on."""

    def setup(self, stage: str) -> None:
        """Let people and films have tastes of two numbers, and a like be their product."""
        generator = torch.Generator().manual_seed(0)
        tastes, kinds = (torch.randn(count, 2, generator=generator) for count in (PEOPLE, FILMS))
        person = torch.randint(PEOPLE, (6000,), generator=generator)
        film = torch.randint(FILMS, (6000,), generator=generator)
        liked = (tastes[person] * kinds[film]).sum(1) > 0
        self.parts = [
            TensorDataset(person[first:last], film[first:last], liked[first:last])
            for first, last in ((0, 4000), (4000, 5000), (5000, 6000))
        ]

    def train_dataloader(self) -> DataLoader:
        """Return what is learnt from."""
        return DataLoader(self.parts[0], batch_size=50, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Return what is chosen by."""
        return DataLoader(self.parts[1], batch_size=500)

    def test_dataloader(self) -> DataLoader:
        """Return what is tested on."""
        return DataLoader(self.parts[2], batch_size=500)
