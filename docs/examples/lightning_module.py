"""A LightningModule as it stands: two optimizers that it steps itself, a schedule, early stopping.

    python -m search.run --model docs/examples/lightning_module.py:Classifier \
        --data docs/examples/multilabel.py:Digits --task multilabel --metric val_f1 \
        --metric-mode max --sparsity 0,0.8 --precision 32,8

Files are scored by what its own `validation_step` logs, with the file in the place of `forward`.
"""

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import Callback, EarlyStopping, LearningRateMonitor
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.classification import MultilabelF1Score

Batch = tuple[Tensor, Tensor]


class Classifier(LightningModule):
    """Convolutions with an optimizer of their own, and a dense layer with another."""

    def __init__(self, lr: float = 1e-3) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten()
        )
        self.head = nn.Linear(8 * 7 * 7, 3)
        self.f1 = MultilabelF1Score(num_labels=3)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, (N, 3)."""
        logits: Tensor = self.head(self.body(images))
        return logits

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Step both optimizers."""
        images, labels = batch
        loss = functional.binary_cross_entropy_with_logits(self(images), labels.float())
        for optimizer in self.optimizers():
            optimizer.zero_grad()
        self.manual_backward(loss)
        for optimizer in self.optimizers():
            self.clip_gradients(optimizer, gradient_clip_val=1.0)
            optimizer.step()
        self.log("train_loss", loss, prog_bar=True)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log loss and F1."""
        images, labels = batch
        logits = self(images)
        self.f1(logits, labels)
        self.log("val_f1", self.f1, on_epoch=True)
        loss = functional.binary_cross_entropy_with_logits(logits, labels.float())
        self.log("val_loss", loss)

    def on_validation_epoch_end(self) -> None:
        """Lower the learning rate of the head where the loss no longer falls."""
        if not self.trainer.validating and self.trainer.state.fn == "fit":
            self.lr_schedulers().step(self.trainer.callback_metrics["val_loss"])

    def configure_optimizers(self) -> tuple[list[torch.optim.Optimizer], list]:
        """Return two optimizers, and a schedule for the second."""
        body = torch.optim.SGD(self.body.parameters(), lr=0.1)
        head = torch.optim.Adam(self.head.parameters(), lr=self.hparams["lr"])
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(head, patience=1)
        return [body, head], [schedule]

    def configure_callbacks(self) -> list[Callback]:
        """Stop where the loss no longer falls, and watch the learning rates."""
        return [EarlyStopping("val_loss", patience=3), LearningRateMonitor()]
