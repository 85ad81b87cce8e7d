"""What the user's own steps log, with the file answering in the place of `forward`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from models.data_source import DataSource, Part, PartBatches
from models.errors import BadInputError, blaming
from models.lightning import is_overridden, trainer_of, without_trainers_advice
from objectives.errors import MeasurementError, UndefinedScoreError
from objectives.score.base import Score
from objectives.score.onnx_network import OnnxNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedScore(Score):
    """A metric that `validation_step` logs; on test `test_step`, if it has one, logs it.

    Both steps run in Lightning's own loops. The test step may log it with "test" in the place of
    "val".
    """

    build: Callable[[], nn.Module]
    """Makes the user's `LightningModule`."""

    def of_file(self, file: OnnxNetwork, data: DataSource, part: Part) -> float:
        """Return what is logged where the file answers."""

        def forward(inputs: Tensor) -> Tensor:
            rows = inputs.detach().cpu().numpy()
            return torch.from_numpy(np.asarray(file.answer(rows)))

        return self._logged(forward, data, part)

    def of_network(self, network: nn.Module, data: DataSource, part: Part) -> float:
        """Return what is logged where a network answers."""
        device = next(network.parameters()).device

        def forward(inputs: Tensor) -> Tensor:
            answers: Tensor = network(inputs.to(device))
            return answers.cpu()

        return self._logged(forward, data, part)

    def _logged(self, answer: Callable[[Tensor], Tensor], data: DataSource, part: Part) -> float:
        module: Any = self.build()
        _forbid_own_weights_(module)
        asked = False

        def forward(*inputs: Tensor) -> Tensor:
            nonlocal asked
            asked = True
            (given,) = inputs
            return answer(given)

        module.forward = forward
        names = (self.name, self.name.replace("val", "test"))
        tests = part == "test" and is_overridden("test_step", module, "LightningModule")
        loop = "test" if tests else "validate"
        loader = DataLoader(PartBatches(data, part), batch_size=None)
        trainer = trainer_of(module, accelerator="cpu")
        try:
            step = "test_step" if tests else "validation_step"
            with without_trainers_advice(), blaming(f"The network's `{step}`"):
                getattr(trainer, loop)(module, dataloaders=loader, verbose=False)
        except BadInputError as err:
            raise MeasurementError(str(err)) from err
        if not asked:
            raise MeasurementError(
                "No step of the network asks its own `forward`, so that no file can answer in its "
                "place: let the steps call `self(inputs)`."
            )
        logged = trainer.callback_metrics
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
