"""What the user's own steps log, with the file answering in the place of `forward`."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pytorch_lightning.utilities import move_data_to_device
from torch import Tensor, nn

from models.data_source import DataSource, Part, part_loader
from models.errors import BadInputError, blaming
from models.inputs import returned, with_outputs
from models.lightning import is_overridden, trainer_of, without_trainers_advice
from objectives.errors import MeasurementError, UndefinedScoreError
from objectives.score.base import Score
from objectives.score.file_network import FileNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedScore(Score):
    """A metric that `validation_step` logs; on test that of `test_step`, if it logs it.

    Both steps run in Lightning's own loops. The test step may log it with "test" in the place of
    "val"; if it does not, the validation step scores the test part, too.
    """

    build: Callable[[], nn.Module]
    """Makes the user's `LightningModule`."""

    def of_file(self, file: FileNetwork, data: DataSource, part: Part) -> float:
        """Return what is logged where the file answers."""
        module = self.build()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            like = returned(module.eval(), data.training_inputs(2).clone())
        signature = inspect.signature(module.forward)

        def forward(*args: Any, **named: Any) -> Any:  # noqa: ANN401 - as the module's own
            rows = _taken(signature, args, named, file.input_names)
            feeds = dict(zip(file.input_names, rows, strict=True))
            outputs = file.all_outputs({name: each.numpy() for name, each in feeds.items()})
            return with_outputs(like, outputs)

        return self._logged(module, forward, data, part)

    def of_network(self, network: nn.Module, data: DataSource, part: Part) -> float:
        """Return what is logged where a network answers."""
        device = next(network.parameters()).device

        def forward(*args: Any, **named: Any) -> Any:  # noqa: ANN401 - as the module's own
            args, named = move_data_to_device((args, named), device)
            return move_data_to_device(network(*args, **named), torch.device("cpu"))

        return self._logged(self.build(), forward, data, part)

    def _logged(
        self,
        module: Any,  # noqa: ANN401 - of either Lightning
        answer: Callable[..., Any],
        data: DataSource,
        part: Part,
    ) -> float:
        _forbid_own_weights_(module)
        asked = False

        def forward(*args: Any, **named: Any) -> Any:  # noqa: ANN401 - as the module's own
            nonlocal asked
            asked = True
            return answer(*args, **named)

        module.forward = forward
        names = (self.name, self.name.replace("val", "test"))
        logged: dict[str, Tensor] = {}
        if part == "test" and is_overridden("test_step", module, "LightningModule"):
            logged = _logged_by("test", module, data, part)
        if logged.keys().isdisjoint(names):
            logged |= _logged_by("validate", module, data, part)
        if not asked:
            raise MeasurementError(
                "No step of the network asks its own `forward`, so that no file can answer in its "
                "place: let the steps call `self(inputs)`."
            )
        found = [logged[name] for name in names if name in logged]
        if not found:
            raise MeasurementError(
                f"The network's steps log no '{self.name}' on {part}; they log "
                f"{', '.join(sorted(logged)) or 'nothing'}."
            )
        value = float(found[0])
        if not np.isfinite(value):
            raise UndefinedScoreError(f"{self.name} of it is {value}.")
        return value


def _logged_by(loop: str, module: Any, data: DataSource, part: Part) -> dict[str, Tensor]:  # noqa: ANN401 - of either Lightning
    """Return what a step logs in one of Lightning's loops, "test" or "validate", on a part."""
    loader = part_loader(data, part)
    trainer = trainer_of(module, accelerator="cpu")
    try:
        step = "test_step" if loop == "test" else "validation_step"
        with without_trainers_advice(), blaming(f"The network's `{step}`"):
            getattr(trainer, loop)(module, dataloaders=loader, verbose=False)
    except BadInputError as err:
        raise MeasurementError(str(err)) from err
    return dict(trainer.callback_metrics)


def _taken(
    signature: inspect.Signature, args: tuple[Any, ...], named: dict[str, Any], names: list[str]
) -> list[Tensor]:
    """Return the tensors that a step gives to `forward`, as many as the file takes, in order.

    Args:
        signature: Of `forward`.
        args: What it is called with.
        named: What it is called with by name.
        names: Of the tensors that the file takes.

    Raises:
        BadInputError: It is called with others.
    """
    if len(names) == len(args) == 1 and not named:
        return [args[0].detach().cpu()]
    bound = signature.bind(*args, **named).arguments
    given: dict[str, Any] = {}
    for name, value in bound.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            given |= value
        elif kind is inspect.Parameter.VAR_POSITIONAL:
            given |= dict(zip(names[len(given) :], value, strict=False))
        elif value is not None and not _is_default(value, signature.parameters[name].default):
            given[name] = value
    if len(names) == 1 and list(given) == list(signature.parameters)[:1]:
        names = list(given)  # its only input has a name of its own in the file
    further, missing = sorted(given.keys() - set(names)), sorted(set(names) - given.keys())
    if further or missing:
        wanted = f"do without {further[0]}" if further else f"give it {missing[0]}, too"
        raise BadInputError(
            f"A step of the network gives `forward` {', '.join(given)}, but the file takes "
            f"{', '.join(names)}: let the steps {wanted}."
        )
    return [given[name].detach().cpu() for name in names]


def _is_default(value: object, default: object) -> bool:
    """Return whether an argument is as if it were left out."""
    return value is default or (isinstance(value, bool | int | float | str) and value == default)


def _forbid_own_weights_(module: nn.Module) -> None:
    """Let nothing be computed with weights of `module`, which is not the file's network."""

    def refuse(layer: nn.Module, _: object) -> None:
        names = [name for name, each in module.named_modules() if each is layer]
        raise BadInputError(
            f"A step of the network computes with its part '{names[0]}' itself, where no file can "
            "answer in its place: let the steps call `self(inputs)`."
        )

    for part in module.modules():
        own = list(part.parameters(recurse=False))
        if own and part is not module:
            part.register_forward_pre_hook(refuse)
        with torch.no_grad():
            for parameter in own:
                if parameter.is_floating_point():
                    parameter.fill_(torch.nan)  # of those that a step reads itself
