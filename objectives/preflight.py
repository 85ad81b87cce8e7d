"""Look before training whether a network can go all the way, and how long the way will be."""

import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import nn
from torch.nn import functional

from models.errors import BadInputError, blaming, first_line
from models.layers import compressible_layers
from objectives.channels import equal_worth, keep_channels
from objectives.context import Context
from objectives.errors import MeasurementError, TrialError
from objectives.progress import SilentProgress
from objectives.stages.export import export_onnx
from objectives.state import NetworkState, copy_weights
from objectives.training import train_

TIMED_INPUTS = 32


def require_layers(context: Context, network: nn.Module) -> None:
    """Raise `BadInputError` unless some layer of `network` is to be compressed."""
    if not context.layers_of(network):
        raise BadInputError(
            f"No layer that can be compressed matches {', '.join(context.layers)}. "
            f"There are: {', '.join(compressible_layers(network)) or 'none'}."
        )


def check_network(context: Context) -> None:
    """See that the network takes the data, answers with logits, has layers and can be exported.

    One that trains itself does so with one batch; one that is known to be exported is not, which
    takes two seconds.

    Raises:
        BadInputError: It does not; the text names the layer where there is one.
    """
    network = context.build_network().eval()
    inputs = context.data.training_inputs(2)
    try:
        with torch.no_grad():
            logits = network(inputs)
    except Exception as err:
        raise BadInputError(
            f"The network cannot take inputs of shape {tuple(inputs.shape)}: {first_line(err)}"
        ) from err
    wanted = (len(inputs), context.data.num_classes)
    if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != wanted:
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise BadInputError(f"The network must return logits of shape {wanted}, but got {got}.")
    require_layers(context, network)
    if isinstance(network, LightningModule):
        _check_own_training(network, context)
    if not context.model.exports:
        _check_export(network, context)


def _check_export(network: nn.Module, context: Context) -> None:
    try:
        export_onnx(NetworkState(weights=copy_weights(network)), context)
    except MeasurementError as err:
        raise BadInputError(str(err)) from err


def _check_own_training(network: LightningModule, context: Context) -> None:
    for method in ("training_step", "configure_optimizers"):
        if not is_overridden(method, network):
            raise BadInputError(f"The network is a LightningModule, but has no `{method}`.")
    with blaming("The network's own training"):
        train_(
            context.build_network(),
            replace(context, progress=SilentProgress()),
            stage="preflight",
            epochs=1,
            batch_size=TIMED_INPUTS,
            lr=1e-3,
            callbacks=[_OneBatch()],
        )


class _OneBatch(Callback):
    """Ends a training after its first batch; refuses schedulers that training tells nothing.

    Lightning would do that at the end of an epoch.
    """

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for scheduler in trainer.lr_scheduler_configs:
            told = scheduler.monitor in trainer.callback_metrics
            if scheduler.reduce_on_plateau and scheduler.strict and not told:
                raise BadInputError(
                    f"The network's scheduler must monitor what training logs, but got "
                    f"'{scheduler.monitor}': there are no validation batches while it trains."
                )


def check_channels(context: Context) -> None:
    """See that channels of the network can be removed.

    Raises:
        BadInputError: They cannot; the text says why.
    """
    state = NetworkState(weights=copy_weights(context.build_network()))
    try:
        keep_channels(state, context, share=0.5, worth=equal_worth)
    except TrialError as err:
        raise BadInputError(str(err)) from err


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast this machine is on this network, from a short timing."""

    epoch_seconds: float
    """One epoch of training."""
    evaluation_seconds: float
    """One pass over validation and test, without gradients."""


def measure_pace(context: Context, batch_size: int) -> Pace:
    """Time one small training step after a first one, and scale it up; seconds, not minutes."""
    network = context.build_network().train()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.0, fused=True)
    inputs = context.data.training_inputs(min(batch_size, TIMED_INPUTS))
    labels = torch.zeros(len(inputs), dtype=torch.int64)
    forward = backward = update = 0.0
    for _ in range(2):  # the first one prepares kernels and memory
        start = time.perf_counter()
        loss = functional.cross_entropy(network(inputs), labels)
        between = time.perf_counter()
        loss.backward()
        after = time.perf_counter()
        optimizer.step()
        forward, backward, update = between - start, after - between, time.perf_counter() - after
    sizes = context.data.sizes()
    steps = -(-sizes["train"] // batch_size)
    evaluated = sizes["validation"] + sizes["test"]
    return Pace(
        epoch_seconds=(forward + backward) / len(inputs) * sizes["train"] + update * steps,
        evaluation_seconds=forward / len(inputs) * evaluated,
    )
