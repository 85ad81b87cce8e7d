"""Whether a network can be trained, by us or by its own steps."""

import logging
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import nn

from models.batches import unpacked
from models.errors import BadInputError, blaming
from models.inputs import outputs_of, returned, tensors_of
from models.lightning import is_lightning_module, is_overridden
from models.reading import MEASURING
from objectives.context import Context
from objectives.preflight.answers import TRIED_INPUTS, check_answer
from objectives.preflight.steps import buffers_that_change
from objectives.progress import SilentProgress
from objectives.score.logged import LoggedScore
from objectives.training.loop import train_

log = logging.getLogger(__name__)


def check_training(network: nn.Module, context: Context) -> None:
    """Raise `BadInputError` unless `network` can be trained; it may be trained a little."""
    if not is_lightning_module(network):
        inputs = context.data.training_inputs(2)
        check_answer(network.train(), inputs, context)
        if context.data.fewest_in_a_batch == 1:  # as the last batch may be, which norms refuse
            check_answer(network.train(), inputs[:1], context)
        learnt, shipped = (
            list(outputs_of(returned(network.train(training), inputs.clone())))
            for training in (True, False)
        )
        if learnt != shipped:
            raise BadInputError(
                f"The network returns {', '.join(learnt)} while it trains, else "
                f"{', '.join(shipped)}: a LightningModule says in its `training_step` what is to "
                "be learnt of more."
            )
        return
    for method in ("training_step", "configure_optimizers"):
        if not is_overridden(method, network, "LightningModule"):
            raise BadInputError(f"The network is a LightningModule, but has no `{method}`.")
    _check_hooks(network, context)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with blaming("The network's own training"):
        train_(
            network,
            replace(context, progress=SilentProgress()),
            stage="preflight",
            epochs=1,
            batch_size=TRIED_INPUTS,
            lr=1e-3,
            callbacks=[_OneBatch()],
        )
    changed = buffers_that_change(before, network, context.reads)
    if changed and isinstance(context.score, LoggedScore):
        log.warning(
            "Steps that score a file see the network's %s as it was before training, which "
            "changes it: let `forward` compute with it, or the data.",
            ", ".join(changed),
        )


def _check_hooks(network: Any, context: Context) -> None:  # noqa: ANN401 - of either Lightning
    """Raise `BadInputError` if the network changes batches also where nothing trains.

    Its file gets them as the data yield them.
    """
    batch = next(iter(context.data.step_batches("validation")))
    before = unpacked(deepcopy(batch), "val_dataloader")[0]
    for hook in ("on_before_batch_transfer", "on_after_batch_transfer"):
        if not is_overridden(hook, network, "LightningModule"):
            continue
        network.trainer = MEASURING
        with blaming(f"The network's `{hook}`"):
            batch = getattr(network.eval(), hook)(batch, 0)
        network.trainer = None
        after = unpacked(batch, "val_dataloader")[0]
        pairs = zip(tensors_of(before), tensors_of(after), strict=False)
        if not all(torch.equal(one, other) for one, other in pairs):
            raise BadInputError(
                f"The network's `{hook}` changes inputs also where nothing trains, which its file "
                "does not: put that into `forward`, or into the data."
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
