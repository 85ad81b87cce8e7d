"""Let training pay for bits: the loss becomes loss + lambda * bits of the weights.

The bits are those of `objectives.training.rate`, of weights as they are before they are rounded,
between two integers in proportion. Their gradient pulls a weight towards zero, the more the rarer
its row, its column and its magnitude are, and the step of each layer up: so whole neurons go, and
no sparsity has to be chosen. The estimate follows the weights, and lambda grows from 0 in the
first part of the training.

Source: the objective is that of Oktay et al. 2020, arXiv:1906.06624, Eq. 2, with an estimate in
the place of their learned density.
"""

from collections.abc import Callable, Mapping

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from models.classifier import StepCallback
from objectives.training.quantizers import WeightFakeQuantizer
from objectives.training.rate import RateModel

RAMP = 0.4
"""Share of the steps in which lambda grows."""
STEPS_BETWEEN_ESTIMATES = 25


class RatePenalty(StepCallback):
    """Adds the gradient of the bits to those of weights and of their steps.

    Args:
        weights: That are trained, by layer.
        quantizers: What each is read through.
        rate: lambda at the end of the ramp, in the loss's unit a bit.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        quantizers: Mapping[str, WeightFakeQuantizer],
        rate: float,
    ) -> None:
        self._weights = weights
        self._quantizers = quantizers
        self._rate = rate
        self._models: dict[str, RateModel] = {}
        self._added: dict[Tensor, Tensor] = {}
        self._hooks: list[RemovableHandle] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to listen to gradients; lambda is still 0."""
        learned = [quantizer.log_gain for quantizer in self._quantizers.values()]
        for parameter in (*self._weights.values(), *learned):
            self._hooks.append(parameter.register_hook(self._adding(parameter)))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave gradients alone."""
        for hook in self._hooks:
            hook.remove()

    def after_step(self, step: int, steps: float) -> None:
        """Work out what the next step's gradients get."""
        anew = (step - 1) % STEPS_BETWEEN_ESTIMATES == 0
        rate = self._rate * min(1.0, step / (RAMP * steps))
        for name, weight in self._weights.items():
            quantizer = self._quantizers[name]
            self._look(name, weight, quantizer, rate, anew=anew)

    @torch.no_grad()
    def _look(
        self,
        name: str,
        weight: Tensor,
        quantizer: WeightFakeQuantizer,
        rate: float,
        *,
        anew: bool,
    ) -> None:
        scale = quantizer.scale()[0]
        in_steps = weight.flatten(1) / scale
        if anew:
            self._models[name] = RateModel.of(in_steps.round())
        slope = self._models[name].slope(in_steps.abs()) * rate
        self._added[weight] = (slope * in_steps.sign() / scale).view_as(weight)
        gain = quantizer.log_gain
        self._added[gain] = -(slope * in_steps.abs()).sum().expand_as(gain)

    def _adding(self, parameter: Tensor) -> Callable[[Tensor], Tensor]:
        def add(gradient: Tensor) -> Tensor:
            added = self._added.get(parameter)
            return gradient if added is None else gradient + added

        return add
