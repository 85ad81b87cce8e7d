"""The Lightning module that trains any classifier."""

from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.classification import MulticlassAccuracy

from models.images import to_pixels


class Classifier(LightningModule):
    """Cross-entropy and Adam around a network that maps pixels to logits.

    Args:
        network: Takes float32 pixels (N, C, H, W) in [0, 1], returns logits (N, num_classes).
        num_classes: Size of the last axis of the logits.
        lr: Adam's learning rate.
    """

    def __init__(self, network: nn.Module, *, num_classes: int, lr: float) -> None:
        super().__init__()
        self.network = network
        self.lr = lr
        self.validation_accuracy = MulticlassAccuracy(num_classes, average="micro")

    def forward(self, images: Tensor) -> Tensor:
        """Return logits of uint8 images (N, C, H, W)."""
        pixels = to_pixels(images).contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.network(pixels)
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the mean cross-entropy of one batch."""
        images, labels = batch
        return functional.cross_entropy(self(images), labels)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Count one batch into the validation accuracy."""
        images, labels = batch
        self.validation_accuracy(self(images), labels)
        self.log("val_accuracy", self.validation_accuracy, on_step=False, on_epoch=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam over all parameters, its update fused into one kernel."""
        parameters: Any = self.parameters()
        return torch.optim.Adam(parameters, lr=self.lr, fused=True)
