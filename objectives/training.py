"""Train a network in place: one Lightning `Trainer` as bare as it gets."""

import hashlib
import logging
import math
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from models.classifier import Classifier
from models.images import batches
from objectives.context import Context
from objectives.errors import TrainingDivergedError

EVALUATION_BATCH = 1000
"""Images in a validation batch: no result depends on it."""


def stage_seed(seed: int, stage: str) -> int:
    """Return the seed of a stage, equal for all its settings: they meet the same batches."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{stage}".encode()).digest()[:4])


class _Watch(Callback):
    """Reports progress after each batch, and stops a training whose loss is not finite."""

    def __init__(self, stage: str, context: Context) -> None:
        self._stage = stage
        self._progress = context.progress
        self._loss_sum: Tensor | float = 0.0

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Tensor | Mapping[str, Any] | None,
        *_: Any,
    ) -> None:
        assert isinstance(outputs, Mapping)
        self._loss_sum = self._loss_sum + outputs["loss"]
        self._progress.advance(1 / trainer.num_training_batches)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        loss = float(self._loss_sum)  # one look an epoch: a look makes a GPU wait
        self._loss_sum = 0.0
        if not math.isfinite(loss):
            raise TrainingDivergedError(
                f"The training loss of stage '{self._stage}' became {loss} "
                f"in epoch {trainer.current_epoch + 1} of {trainer.max_epochs}."
            )


def train_(
    network: nn.Module,
    context: Context,
    *,
    stage: str,
    epochs: int,
    batch_size: int,
    lr: float,
    callbacks: list[Callback] | None = None,
) -> torch.optim.Optimizer:
    """Train `network` in place for `epochs` on the training part; validate once, at the end.

    Args:
        network: Takes float32 pixels (N, C, H, W), returns logits; left in evaluation mode, on
            the CPU, its weights contiguous.
        context: Data, seed, accelerator and progress.
        stage: Name of the stage that trains, for the seed and for messages.
        epochs: Passes over the training part.
        batch_size: Images in a step.
        lr: Adam's learning rate.
        callbacks: What the stage itself does during training.

    Returns:
        The optimizer as it is at the end.

    Raises:
        TrainingDivergedError: The loss is not finite.
        StopRequested: Whatever is listening to the progress wants an end.
    """
    seed = stage_seed(context.seed, stage)
    torch.manual_seed(seed)
    network.train()
    _lay_out_(network, torch.channels_last)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    module = Classifier(network, num_classes=context.data.num_classes, lr=lr)
    with warnings.catch_warnings():
        # Workers would copy what is in memory already.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*treespec.*", FutureWarning)
        trainer = Trainer(
            accelerator=context.accelerator,
            devices=1,
            max_epochs=epochs,
            check_val_every_n_epoch=epochs,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            callbacks=[*(callbacks or []), _Watch(stage, context)],
        )
        trainer.fit(
            module,
            batches(context.data.train, batch_size, shuffle_seed=seed),
            batches(context.data.validation, EVALUATION_BATCH),
        )
    network.cpu().eval()
    _lay_out_(network, torch.contiguous_format)
    return trainer.optimizers[0]


def _lay_out_(network: nn.Module, memory_format: torch.memory_format) -> None:
    network.to(memory_format=memory_format)  # type: ignore[call-overload] # torch's stub lacks it
