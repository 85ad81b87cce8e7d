"""The Lightning module that trains any classifier."""

from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.classification import MulticlassAccuracy


class Classifier(LightningModule):
    """Cross-entropy and Adam around a network that maps pixels to logits.

    Args:
        network: Takes inputs (N, ...), returns logits (N, num_classes).
        num_classes: Size of the last axis of the logits.
        lr: Adam's learning rate.
    """

    def __init__(self, network: nn.Module, *, num_classes: int, lr: float) -> None:
        super().__init__()
        self.network = network
        self.lr = lr
        self.validation_accuracy = MulticlassAccuracy(num_classes, average="micro")

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the network's logits."""
        logits: Tensor = self.network(inputs)
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the mean cross-entropy of one batch."""
        inputs, labels = batch
        return functional.cross_entropy(self(inputs), labels)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Count one batch into the validation accuracy."""
        inputs, labels = batch
        self.validation_accuracy(self(inputs), labels)
        self.log("val_accuracy", self.validation_accuracy, on_step=False, on_epoch=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam over all parameters, its update fused into one kernel."""
        parameters: Any = self.parameters()
        return torch.optim.Adam(parameters, lr=self.lr, fused=True)
