"""Text classification: which of two kinds of text a line is of, by a transformer from a config.

    python -m search.run --model docs/examples/text.py:reader --data docs/examples/text.py:Lines \
        --sparsity 0,0.8 --precision 32,8

The lines are 20 of Python's documentation and 20 of its source, as characters. A batch is a
dictionary, as transformers have it, its lines filled up to the longest; so a file takes
`input_ids` and `attention_mask`, (N, length) int64, of any length.
"""

import dataclasses
from pathlib import Path
from pydoc_data.topics import topics

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader
from transformers import BertConfig, BertForSequenceClassification

LENGTH = 32
CHARACTERS = 128

Line = tuple[Tensor, int]


def reader() -> nn.Module:
    """Return an encoder with two layers, random weights, that tells two kinds apart."""
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=CHARACTERS,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=LENGTH,
            num_labels=2,
        )
    )


def numbers(line: str) -> Tensor:
    """Return the beginning of a line as the numbers of its characters."""
    return torch.tensor([ord(sign) % CHARACTERS for sign in line[:LENGTH]])


def batch(lines: list[Line]) -> dict[str, Tensor]:
    """Return lines and their kinds as what the network takes, and `labels`."""
    texts = [text for text, _ in lines]
    return {
        "input_ids": pad_sequence(texts, batch_first=True),
        "attention_mask": pad_sequence([torch.ones_like(text) for text in texts], True),
        "labels": torch.tensor([kind for _, kind in lines]),
    }


class Lines(LightningDataModule):
    """Of each four two are learnt from, one is chosen by, one is tested on."""

    def setup(self, stage: str) -> None:
        """Read them."""
        prose = [line for line in topics["assignment"].splitlines() if len(line) > 20][:20]
        source = Path(dataclasses.__file__).read_text().splitlines()
        code = [line for line in source if line.startswith("    ") and len(line) > 20][:20]
        lines = [(numbers(line), kind) for kind, part in enumerate((prose, code)) for line in part]
        self.parts = [
            [line for place, line in enumerate(lines) if place % 4 in held]
            for held in ((0, 1), (2,), (3,))
        ]

    def train_dataloader(self) -> DataLoader:
        """Return what is learnt from."""
        return DataLoader(self.parts[0], batch_size=5, shuffle=True, collate_fn=batch)

    def val_dataloader(self) -> DataLoader:
        """Return what is chosen by."""
        return DataLoader(self.parts[1], batch_size=20, collate_fn=batch)

    def test_dataloader(self) -> DataLoader:
        """Return what is tested on."""
        return DataLoader(self.parts[2], batch_size=20, collate_fn=batch)
