"""The Lightning module that trains any network that has no training of its own."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from models.inputs import Given, ask

Loss = Callable[[Given, Tensor, Tensor], Tensor]
Pair = tuple[Given, Tensor]
Optimizer = Literal["adam", "sgd"]
OPTIMIZERS: tuple[Optimizer, ...] = get_args(Optimizer)
MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4
"""Of SGD, as residual networks on CIFAR-10 are trained (Zagoruyko and Komodakis 2016,
arXiv:1605.07146, section 3; there, too, with Nesterov's momentum)."""


class StepCallback(Callback):
    """Acts after each step of the optimizer, of which a `Classifier` takes several a batch."""

    @abstractmethod
    def after_step(self, step: int, steps: float) -> None:
        """Act after the `step`-th, from 1, of `steps` of the whole training."""

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        *_: Any,
    ) -> None:
        """Act, unless the module has told of its steps itself."""
        if not isinstance(pl_module, Classifier):
            step = trainer.fit_loop.total_batch_idx + 1  # it may step several optimizers in each
            self.after_step(step, trainer.estimated_stepping_batches)


class Classifier(LightningModule):
    """A loss and an optimizer around a network.

    It steps its optimizer itself, so that one Lightning batch can be a run of several.

    Args:
        network: Takes inputs (N, ...), returns answers.
        lr: The optimizer's learning rate.
        steps: Of the whole training.
        loss: Of inputs (N, ...), answers and targets.
        cosine_decay: Whether the learning rate falls to 0, as a half cosine, step by step.
        optimizer: Adam, or SGD with momentum and weight decay.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        lr: float,
        steps: int,
        loss: Loss,
        cosine_decay: bool = False,
        optimizer: Optimizer = "adam",
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.lr = lr
        self.steps = steps
        self._steps_taken = 0
        self._loss = loss
        self._cosine_decay = cosine_decay
        self._optimizer = optimizer
        self._schedule: torch.optim.lr_scheduler.LRScheduler | None = None

    def forward(self, inputs: Given) -> Tensor:
        """Return the network's answers."""
        return ask(self.network, inputs)

    def training_step(self, batch: Pair | Iterator[Pair], batch_idx: int) -> Tensor:
        """Take a step for each pair of inputs and labels; return the sum of their losses."""
        optimizer: Any = self.optimizers(use_pl_optimizer=False)
        callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined] # untyped
        told = [each for each in callbacks if isinstance(each, StepCallback)]
        total = torch.zeros((), device=self.device)
        for inputs, labels in batch if isinstance(batch, Iterator) else [batch]:
            loss = self._loss(inputs, ask(self.network, inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if self._schedule is not None:
                self._schedule.step()
            self._steps_taken += 1
            total += loss.detach()
            for callback in told:
                callback.after_step(self._steps_taken, self.steps)
        return total

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer of all parameters, its update fused into one kernel."""
        trained: Any = [each for each in self.parameters() if each.requires_grad]
        optimizer: torch.optim.Optimizer
        if self._optimizer == "sgd":
            optimizer = torch.optim.SGD(
                trained,
                lr=self.lr,
                momentum=MOMENTUM,
                nesterov=True,
                weight_decay=WEIGHT_DECAY,
                fused=True,
            )
        else:
            optimizer = torch.optim.Adam(trained, lr=self.lr, fused=True)
        if self._cosine_decay:
            self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        return optimizer
