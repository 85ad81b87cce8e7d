"""A language model of Python's documentation, by a decoder with a tied embedding.

    python -m search.run --model docs/examples/language.py:Decoder \
        --data docs/examples/language.py:Documentation --metric val_perplexity --metric-mode min \
        --sparsity 0,0.8 --precision 32,8

The model is of transformers, made from a config; its own `validation_step` logs the perplexity.
"""

from pydoc_data.topics import topics

import torch
from pytorch_lightning import LightningDataModule, LightningModule
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from transformers import LlamaConfig, LlamaForCausalLM

LENGTH = 32
CHARACTERS = 128

Batch = tuple[Tensor, Tensor]


class Decoder(LightningModule):
    """Two layers of Llama's kind, 64 wide; the last layer's weight is the embedding's."""

    def __init__(self) -> None:
        super().__init__()
        config = LlamaConfig(
            vocab_size=CHARACTERS,
            max_position_embeddings=LENGTH,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            tie_word_embeddings=True,
            attn_implementation="eager",
            use_cache=False,
        )
        self.decoder = LlamaForCausalLM(config)

    def forward(self, characters: Tensor) -> Tensor:
        """Return logits of the next character, (N, LENGTH, CHARACTERS), of (N, LENGTH) int64."""
        logits: Tensor = self.decoder(characters).logits
        return logits

    def _loss(self, batch: Batch) -> Tensor:
        characters, following = batch
        return functional.cross_entropy(self(characters).flatten(0, 1), following.flatten())

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss."""
        return self._loss(batch)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the perplexity."""
        self.log("val_perplexity", self._loss(batch).exp())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


class Documentation(LightningDataModule):
    """Windows of 32 characters: 1,600 to learn from, 200 to choose by, 200 to test on."""

    def setup(self, stage: str) -> None:
        """Read the topics, one behind the other."""
        text = "".join(topics[name] for name in sorted(topics))[: 2000 * LENGTH + 1]
        signs = torch.tensor([min(ord(sign), CHARACTERS - 1) for sign in text])
        given, following = signs[:-1].view(-1, LENGTH), signs[1:].view(-1, LENGTH)
        self.parts = [
            TensorDataset(given[first:last], following[first:last])
            for first, last in ((0, 1600), (1600, 1800), (1800, 2000))
        ]

    def train_dataloader(self) -> DataLoader:
        """Return what is learnt from."""
        return DataLoader(self.parts[0], batch_size=32, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Return what is chosen by."""
        return DataLoader(self.parts[1], batch_size=200)

    def test_dataloader(self) -> DataLoader:
        """Return what is tested on."""
        return DataLoader(self.parts[2], batch_size=200)
