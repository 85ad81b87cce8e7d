"""Whether what the steps of a `LightningModule` do with a batch is what its file is made for."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.batches import LABELS, unpacked
from models.data_source import part_loader
from models.errors import BadInputError, blaming
from models.inputs import Inputs, by_name, tensors_of
from models.lightning import (
    is_lightning_module,
    is_overridden,
    trainer_of,
    without_trainers_advice,
)
from objectives.context import Context
from objectives.score.function import FunctionScore
from objectives.score.logged import LoggedScore

MOVED, WIDER = 0.25, 1.5
"""By how many standard deviations a mean may move, and how many times one may be the other."""


def check_labels(network: Any, context: Context) -> None:  # noqa: ANN401 - of either Lightning
    """Raise `BadInputError` where only the network's steps know which tensor is the labels.

    Scores that they log need no labels of ours, nor do functions.
    """
    given = context.data.training_inputs(1)
    if isinstance(context.score, LoggedScore | FunctionScore) or not isinstance(given, Inputs):
        return
    taken = by_name(network, given)
    further = [name for name in given.names if name not in taken]
    if set(further) & set(LABELS) or (not given.names and len(taken) < len(given.tensors)):
        raise BadInputError(
            "A batch has several tensors that may be the labels, of which the network's steps "
            "know more: say --metric and --metric-mode of what `validation_step` of a "
            "LightningModule logs, or let the data yield one."
        )


def check_steps(network: Any, context: Context) -> None:  # noqa: ANN401 - as above
    """Raise `BadInputError` where `validation_step` gives `forward` other inputs than the data.

    The file is made, calibrated and compared with the inputs that the data yield. Of steps that
    only train nothing is said: they may change inputs at random.
    """
    module = network
    if not is_lightning_module(module) or not is_overridden(
        "validation_step", module, "LightningModule"
    ):
        return
    batches: list[Any] = []
    given: list[Tensor] = []
    plain_step, plain_forward = module.validation_step, module.forward

    def step(batch: Any, *args: Any, **named: Any) -> Any:  # noqa: ANN401 - as the module's own
        batches.append(batch)
        return plain_step(batch, *args, **named)

    def forward(*args: Any, **named: Any) -> Any:  # noqa: ANN401 - as the module's own
        if not given:
            given.extend(
                each.clone() for each in (*args, *named.values()) if isinstance(each, Tensor)
            )
        return plain_forward(*args, **named)

    module.validation_step, module.forward = step, forward
    loader = part_loader(context.data, "validation")
    trainer = trainer_of(module, accelerator="cpu", limit_val_batches=1)
    with without_trainers_advice(), blaming("The network's `validation_step`"):
        trainer.validate(module, dataloaders=loader, verbose=False)
    if not given or not batches:  # a score says so
        return
    known = tensors_of(unpacked(batches[0], "val_dataloader")[0])
    for each in filter(torch.is_floating_point, given):
        alike = [other for other in known if other.numel() == each.numel() > 1]
        if alike and not any(_is_spread_alike(each, other) for other in alike):
            raise BadInputError(
                "The network's `validation_step` gives `forward` other inputs than the data "
                "yield, which its file is made for: change them in `forward`, or in the data."
            )


def _is_spread_alike(one: Tensor, other: Tensor) -> bool:
    """Return whether numbers have about the same mean and spread: noise may have come to them."""
    one, other = one.float().cpu(), other.float().cpu()
    spread = float(other.std()) + 1e-12
    moved = abs(float(one.mean() - other.mean())) / spread
    return moved <= MOVED and 1 / WIDER <= float(one.std()) / spread <= WIDER


def buffers_that_change(
    before: Mapping[str, Tensor], network: nn.Module, reads: Callable[[str], bool]
) -> list[str]:
    """Return the floats among the buffers that a training step has changed and no file reads."""
    return [
        name
        for name, tensor in network.named_buffers()
        if name in before
        and tensor.is_floating_point()
        and not reads(name)
        and not torch.equal(tensor.cpu().nan_to_num(), before[name].nan_to_num())
    ]
