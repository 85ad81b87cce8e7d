"""Train a network in place: one Lightning `Trainer` as bare as it gets."""

import hashlib
import math
import tempfile
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from models.checks import require
from models.classifier import Classifier, Loss, Optimizer, StepCallback
from models.inputs import Given, ask
from models.lightning import (
    is_lightning_module,
    no_logger,
    trainer_of,
    validates_itself,
    without_traces,
    without_trainers_advice,
)
from objectives.context import Context
from objectives.errors import TrainingDivergedError, TrialError
from objectives.network.state import NetworkState
from objectives.network.substitution import Learning
from objectives.recipe import Recipe, distillation_loss
from objectives.training.evaluate import network_worth
from objectives.training.malloc import freed_memory_kept


def stage_seed(seed: int, stage: str) -> int:
    """Return the seed of a stage, equal for all its settings: they meet the same batches."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{stage}".encode()).digest()[:4])


class _Watch(StepCallback):
    """Reports progress after each step, and stops a training whose loss is not finite."""

    def __init__(
        self,
        stage: str,
        network: nn.Module,
        context: Context,
        epochs: int,
        stop_at: float | None,
    ) -> None:
        self._stage = stage
        self._epochs = epochs
        self._stop_at = stop_at
        self._network = network
        self._context = context
        self._loss_sum: Tensor | float = 0.0

    def after_step(self, step: int, steps: float) -> None:
        self._context.progress.advance(self._epochs / steps)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Tensor | Mapping[str, Any] | None = None,
        *others: Any,
    ) -> None:
        if isinstance(outputs, Mapping) and "loss" in outputs:  # a user's module may have none
            self._loss_sum = self._loss_sum + outputs["loss"]
        super().on_train_batch_end(trainer, pl_module, outputs, *others)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        loss = float(self._loss_sum)  # one look an epoch: a look makes a GPU wait
        self._loss_sum = 0.0
        if not math.isfinite(loss):
            raise TrainingDivergedError(
                f"The training loss of stage '{self._stage}' became {loss} "
                f"in epoch {trainer.current_epoch + 1} of {trainer.max_epochs}."
            )
        watch, stop_at = self._context.after_epoch, self._stop_at
        if watch is None and stop_at is None:
            return
        worth = network_worth(self._network, self._context, "validation")
        if watch is not None:
            watch(trainer.current_epoch + 1, worth)
        if stop_at is not None and worth >= stop_at:
            trainer.should_stop = True


def train_(
    network: nn.Module,
    context: Context,
    *,
    stage: str,
    epochs: int,
    batch_size: int,
    lr: float,
    optimizer: Optimizer = "adam",
    callbacks: list[Callback] | None = None,
    stop_at: float | None = None,
) -> torch.optim.Optimizer:
    """Train `network` in place for `epochs` on the training part.

    Args:
        network: Takes inputs, returns answers; a `LightningModule` is trained by its own
            steps, with its own callbacks, and validated after each epoch if it has a step for
            that. Left in evaluation mode, on the CPU, its weights contiguous.
        context: Data, seed, accelerator and progress.
        stage: Name of the stage that trains, for the seed and for messages.
        epochs: Passes over the training part.
        batch_size: Images in a step.
        lr: The optimizer's learning rate.
        optimizer: Of a network without training of its own.
        callbacks: What the stage itself does during training.
        stop_at: Train no further epoch once the network is worth so much on validation.

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
    data = context.data
    steps = epochs * data.steps_per_epoch(batch_size)
    module = _module(network, context, lr, optimizer, steps)
    validates = validates_itself(network)
    in_bf16 = context.recipe.trains_in_bf16(context.accelerator)
    with without_trainers_advice(), tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(
            module,
            accelerator=context.accelerator,
            max_epochs=epochs,
            limit_val_batches=1.0 if validates else 0,  # our own only if somebody watches
            precision="bf16-mixed" if in_bf16 else "32-true",
            logger=no_logger(module) if validates else False,
            default_root_dir=folder,
            num_sanity_val_steps=0,
            callbacks=[
                Learning(network),
                *(callbacks or []),
                _Watch(stage, network, context, epochs, stop_at),
            ],
        )
        batches = data.for_training(batch_size, seed, module)
        with freed_memory_kept(), without_traces(batches):
            trainer.fit(module, datamodule=batches)
    network.cpu().eval()
    network.zero_grad(set_to_none=True)
    _lay_out_(network, torch.contiguous_format)
    used: torch.optim.Optimizer = trainer.optimizers[0]
    return used


class TrainingSettings(Protocol):
    """What the settings of a stage that trains have."""

    @property
    def key_name(self) -> str:
        """What the random numbers belong to."""

    @property
    def epochs(self) -> int:
        """Passes over the training part."""

    @property
    def batch_size(self) -> int:
        """Images in a step."""

    @property
    def lr(self) -> float:
        """Adam's learning rate."""


def require_training(settings: TrainingSettings) -> None:
    """Raise `BadInputError` where batch size or learning rate break their law."""
    require(settings.batch_size >= 1, "batch_size >= 1", batch_size=settings.batch_size)
    require(settings.lr > 0, "lr > 0", lr=settings.lr)


def tune_(
    network: nn.Module,
    context: Context,
    settings: TrainingSettings,
    *,
    callbacks: list[Callback] | None = None,
    stop_at: float | None = None,
) -> None:
    """Train `network` in place as `settings` say, not at all for 0 epochs; see `train_`."""
    if settings.epochs > 0:
        train_(
            network,
            context,
            stage=settings.key_name,
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            lr=settings.lr,
            callbacks=callbacks,
            stop_at=stop_at,
        )


def _module(
    network: nn.Module, context: Context, lr: float, optimizer: Optimizer, steps: int
) -> nn.Module:
    """Return what trains `network`, a module of Lightning: itself, or a classifier around it."""
    recipe = context.recipe
    if is_lightning_module(network):
        if recipe != Recipe(mixed_precision=recipe.mixed_precision) or optimizer != "adam":
            raise TrialError(
                "The network has its own training: no decay, no distillation, no other optimizer."
            )
        return network
    task, outputs = context.data.task, context.data.num_classes

    def loss(_: Given, answers: Tensor, targets: Tensor) -> Tensor:
        return task.loss(task.answers(answers, targets, outputs), targets)

    return Classifier(
        network,
        lr=lr,
        steps=steps,
        loss=loss if context.teacher is None else _distillation(context, context.teacher),
        cosine_decay=recipe.lr_decay == "cosine",
        optimizer=optimizer,
    )


def _distillation(context: Context, teacher: NetworkState) -> Loss:
    network = context.network_of(teacher)
    _lay_out_(network, torch.channels_last)
    recipe, task, outputs = context.recipe, context.data.task, context.data.num_classes

    def loss(inputs: Given, answers: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad():
            taught = ask(network.to(targets.device), inputs)
        return distillation_loss(
            task,
            task.answers(answers, targets, outputs),
            task.answers(taught, targets, outputs),
            targets,
            weight=recipe.distill_weight,
            temperature=recipe.distill_temperature,
        )

    return loss


def _lay_out_(network: nn.Module, memory_format: torch.memory_format) -> None:
    if all(
        parameter.dim() != 5 for parameter in network.parameters()
    ):  # those of 3-D convolutions
        network.to(memory_format=memory_format)  # type: ignore[call-overload] # torch's stub lacks it
