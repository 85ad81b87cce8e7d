"""The Lightning module that trains any classifier."""

from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.classification import MulticlassAccuracy

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def cross_entropy(inputs: Tensor, logits: Tensor, labels: Tensor) -> Tensor:  # noqa: ARG001 - a Loss
    """Return the mean cross-entropy of `logits` (N, classes) and `labels` (N,)."""
    return functional.cross_entropy(logits, labels)


class Classifier(LightningModule):
    """A loss and Adam around a network that maps pixels to logits.

    Args:
        network: Takes inputs (N, ...), returns logits (N, num_classes).
        num_classes: Size of the last axis of the logits.
        lr: Adam's learning rate.
        loss: Of inputs (N, ...), logits (N, num_classes) and labels (N,).
        cosine_decay: Whether the learning rate falls to 0, as a half cosine, step by step.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        num_classes: int,
        lr: float,
        loss: Loss = cross_entropy,
        cosine_decay: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.lr = lr
        self._loss = loss
        self._cosine_decay = cosine_decay
        self.validation_accuracy = MulticlassAccuracy(num_classes, average="micro")

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the network's logits."""
        logits: Tensor = self.network(inputs)
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of one batch."""
        inputs, labels = batch
        return self._loss(inputs, self(inputs), labels)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Count one batch into the validation accuracy."""
        inputs, labels = batch
        self.validation_accuracy(self(inputs), labels)
        self.log("val_accuracy", self.validation_accuracy, on_step=False, on_epoch=True)

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - what Lightning takes
        """Return Adam over all parameters, its update fused into one kernel, and its schedule."""
        trained: Any = [each for each in self.parameters() if each.requires_grad]
        optimizer = torch.optim.Adam(trained, lr=self.lr, fused=True)
        if not self._cosine_decay:
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
