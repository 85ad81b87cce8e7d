"""Text classification: which of two kinds of text a line is of, by a transformer from a config.

    python -m search.run --model docs/examples/text.py:Reader --data docs/examples/text.py:Lines \
        --sparsity 0,0.8 --precision 32,8

The lines are 20 of Python's documentation and 20 of its source, as characters. A file takes
their numbers as int64.
"""

import dataclasses
from pathlib import Path
from pydoc_data.topics import topics

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from transformers import BertConfig, BertModel

LENGTH = 32
CHARACTERS = 128


class Reader(nn.Module):
    """An encoder with two layers, random weights, and what is read off its first place."""

    def __init__(self) -> None:
        super().__init__()
        config = BertConfig(
            vocab_size=CHARACTERS,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=LENGTH,
            attn_implementation="eager",
        )
        self.encoder = BertModel(config, add_pooling_layer=False)
        self.kind = nn.Linear(32, 2)

    def forward(self, characters: Tensor) -> Tensor:
        """Return logits, (N, 2), of lines, (N, LENGTH) int64."""
        states = self.encoder(characters).last_hidden_state
        logits: Tensor = self.kind(states[:, 0])
        return logits


def numbers(line: str) -> list[int]:
    """Return a line as the numbers of its characters, filled up with zeros."""
    return [ord(sign) % CHARACTERS for sign in line[:LENGTH].ljust(LENGTH, "\0")]


class Lines(LightningDataModule):
    """Of each four two are learnt from, one is chosen by, one is tested on."""

    def setup(self, stage: str) -> None:
        """Read them."""
        prose = [line for line in topics["assignment"].splitlines() if len(line) > 30][:20]
        source = Path(dataclasses.__file__).read_text().splitlines()
        code = [line for line in source if line.startswith("    ") and len(line) > 30][:20]
        lines = torch.tensor([numbers(line) for line in prose + code])
        kinds = torch.tensor([0] * len(prose) + [1] * len(code))
        held = torch.arange(len(kinds)) % 4
        self.parts = [
            TensorDataset(lines[where], kinds[where]) for where in (held < 2, held == 2, held == 3)
        ]

    def train_dataloader(self) -> DataLoader:
        """Return what is learnt from."""
        return DataLoader(self.parts[0], batch_size=5, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Return what is chosen by."""
        return DataLoader(self.parts[1], batch_size=20)

    def test_dataloader(self) -> DataLoader:
        """Return what is tested on."""
        return DataLoader(self.parts[2], batch_size=20)
