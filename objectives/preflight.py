"""Look before training whether a network can go all the way."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from models.batches import unpacked
from models.data_source import PARTS, DataSource, Part
from models.errors import BadInputError, blaming, first_line
from models.inputs import Given, ask, outputs_of, returned, tensors_of
from models.layers import compressible_layers
from models.lightning import is_lightning_module, is_overridden
from models.reading import MEASURING
from models.tasks import MULTICLASS
from objectives.artifact.agreement import TOLERANCE, distance
from objectives.artifact.export import export_onnx
from objectives.context import Context
from objectives.errors import TrialError, UndefinedScoreError
from objectives.plan import STAGES
from objectives.progress import SilentProgress
from objectives.score.accuracy import ACCURACY
from objectives.score.onnx_network import OnnxNetwork
from objectives.stages.quantize import Quantization
from objectives.training.loop import train_

TRIED_INPUTS = 32
SCORED_BATCHES = 4


def require_layers(context: Context, network: nn.Module) -> None:
    """Raise `BadInputError` unless some layer of `network` is to be compressed."""
    if not context.layers_of(network):
        raise BadInputError(
            f"No layer that can be compressed matches {', '.join(context.layers)}. "
            f"There are: {', '.join(compressible_layers(network)) or 'none'}."
        )


def check_network(context: Context) -> None:
    """See that the network takes the data, answers as its task wants, trains, and has layers.

    The files of the new network, uncompressed and at 8 bits, must answer as it does, and it must
    take a training step while quantized. A network that is known to do all that is not tried,
    which takes seconds.

    Raises:
        BadInputError: It does not; the text names the layer where there is one.
    """
    if context.recipe.lr_decay == "cosine" and not context.data.knows_length:
        raise BadInputError(
            "`--lr-decay cosine` needs the number of batches in an epoch, which the training "
            "loader does not tell: give it a length."
        )
    network = context.build_network()
    inputs = context.data.training_inputs(2)
    _check_answer(network.eval(), inputs, context)
    if not context.model.exports:
        _check_repeats(network, context)
    _check_training(network, context)
    if not context.model.exports:
        _check_files(context)
    _check_score(context)
    require_layers(context, context.network_of(context.untrained()))


def answers_fit(context: Context) -> bool:
    """Return whether a new network answers as the task of the data wants it."""
    try:
        network = context.build_network().eval()
        _check_answer(network, context.data.training_inputs(2), context)
    except BadInputError:
        return False
    return True


def _check_answer(network: nn.Module, inputs: Given, context: Context, *, seed: int = 0) -> Tensor:
    """Return what `network`, as it is, answers `inputs` with.

    Raises:
        BadInputError: It does not.
    """
    when = "While it trains, the" if network.training else "The"
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            answers = ask(network, inputs.clone())  # which it may change
    except BadInputError:
        raise
    except Exception as err:
        shapes = " and ".join(str(tuple(each.shape)) for each in tensors_of(inputs))
        raise BadInputError(
            f"{when} network cannot take inputs of shape {shapes}: {first_line(err)}"
        ) from err
    data = context.data
    _, targets = next(data.batches("validation"))
    targets = targets[:1].expand(len(inputs), *targets.shape[1:])
    with suppress(BadInputError):
        data.task.answers(answers, targets, data.num_classes)
        return answers
    wanted, got = data.task.answer_shape(targets, data.num_classes), tuple(answers.shape)
    hint = ""
    if data.task == MULTICLASS and got in {(len(inputs),), (len(inputs), 1)}:
        hint = " One logit of yes or no is `--task binary`, a number `--task regression`."
    raise BadInputError(
        f"{when} network must return answers of shape {wanted} ({data.task.name}), but got {got}."
        f"{hint}"
    )


def _check_repeats(network: nn.Module, context: Context) -> None:
    """Raise `BadInputError` unless an answer is the same again, and alone as among others."""
    inputs = context.data.training_inputs(TRIED_INPUTS)
    alone = {size: _check_answer(network, inputs[:size], context) for size in (1, 4)}
    together = _check_answer(network, inputs, context).numpy()
    again = _check_answer(network, inputs, context, seed=1).numpy()
    if distance(again, together) > TOLERANCE:
        raise BadInputError(
            "The network's answers to the same inputs differ, as it answers at random: in "
            "`forward`, `F.dropout` needs `training=self.training`."
        )
    for size, answer in alone.items():
        if distance(answer.numpy(), together[:size], together) > TOLERANCE:
            raise BadInputError(
                f"The network's answer to an input depends on what else is in its batch: among "
                f"{len(inputs)} it is another one than among {size}."
            )


def _check_files(context: Context) -> None:
    """Raise `BadInputError` unless files of the new network answer as it does."""
    quantize = Quantization(
        bits=8, qat_epochs=0, batch_size=TRIED_INPUTS, lr=1e-3, calibration_images=TRIED_INPUTS
    )
    try:
        export_onnx(context.untrained(), context)
        export_onnx(quantize.apply(context.untrained(), context), context)
        with blaming("A training step of the quantized network"), suppress(_StepTaken):
            replace(quantize, qat_epochs=1).apply(
                context.untrained(), replace(context, progress=_OneStep())
            )
    except TrialError as err:
        raise BadInputError(str(err)) from err


def _check_score(context: Context) -> None:
    """Raise `BadInputError` unless the new network's file can be scored, on a few batches."""
    if context.score == ACCURACY:
        return
    beginning: Any = _Beginning(context.data)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "untrained.onnx"
        try:
            file.write_bytes(export_onnx(context.untrained(), context))
            opened = OnnxNetwork(file, context.data, threads=1)
            for part in PARTS:
                context.score.of_file(opened, beginning, part)
        except UndefinedScoreError:  # as of few targets, which are all of one class
            pass
        except TrialError as err:
            raise BadInputError(str(err)) from err


class _Beginning:
    """Data of which the parts have few batches."""

    def __init__(self, data: DataSource) -> None:
        self._data = data

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the data have
        return getattr(self._data, name)

    def batches(self, part: Part) -> Iterator[tuple[Given, Tensor]]:
        return islice(self._data.batches(part), SCORED_BATCHES)

    def step_batches(self, part: Part) -> Iterator[Any]:
        return islice(self._data.step_batches(part), SCORED_BATCHES)


class _StepTaken(Exception):  # noqa: N818 - it is no error
    """A training has taken its first step."""


class _OneStep(SilentProgress):
    """Ends a training after its first step."""

    def advance(self, epochs: float) -> None:
        raise _StepTaken


def _check_training(network: nn.Module, context: Context) -> None:
    """Raise `BadInputError` unless `network` can be trained; it may be trained a little."""
    if not is_lightning_module(network):
        inputs = context.data.training_inputs(2)
        _check_answer(network.train(), inputs, context)
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


def check_methods(methods: Sequence[str], context: Context) -> None:
    """See that each of `methods` can do something to the network.

    Raises:
        BadInputError: They cannot; the text says why.
    """
    try:
        for kind in STAGES.values():
            if not {kind.part, kind.former_name}.isdisjoint(methods):
                trained = kind.attempt(context)
                if trained is not None:
                    _check_training(trained, context)
    except TrialError as err:
        raise BadInputError(str(err)) from err
