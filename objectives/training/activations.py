"""Round what is computed between layers, while a network is trained, as its file will.

The values of a group have one scale (`objectives.network.integers`). Its range is read off
training images first (`objectives.training.value_ranges`). While the network is trained it
follows, as a moving average over batches, for the first half of the steps; then it stays, so that
weights settle for the numbers that the file will have.

Source: Jacob et al. 2018, arXiv:1712.05877, section 3.1.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn

from models.classifier import StepCallback
from objectives.network.calls import CallWatch
from objectives.network.state import ActivationFormat
from objectives.network.values import Values
from objectives.training.fake_quantize import asymmetric_range, fake_quantize
from objectives.training.value_ranges import Range, extremes, range_of

RENEWED = 0.02
"""Share of a range that each batch renews."""
FOLLOWING = 0.5
"""Share of the steps in which ranges follow."""


class GroupQuantizer:
    """Rounds the values of one group (Eq. 1 of `objectives.training.fake_quantize`, uint8).

    Args:
        ranges: Of each value, by name.
    """

    def __init__(self, ranges: Mapping[str, Range]) -> None:
        self.names = tuple(ranges)
        self.follows = False
        lows, highs = zip(*ranges.values(), strict=True)
        self._lows, self._highs = torch.stack(lows), torch.stack(highs)
        self._has_negative = bool((self._lows < 0).any())
        self._renew()

    def __call__(self, name: str, values: Tensor) -> Tensor:
        """Return `values` rounded; the range follows them if it is to, and they are trained."""
        if self.follows and torch.is_grad_enabled() and values.numel() > 0:
            self._follow(self.names.index(name), values.detach())
        zero_point = self.format.zero_point if self._has_negative else None
        return fake_quantize(values, self.format.scale, zero_point, *self.format.limits)

    def stay_(self) -> None:
        """Keep the range that it has, on the CPU."""
        self.follows = False
        self._lows, self._highs = self._lows.cpu(), self._highs.cpu()
        self._renew()

    def _follow(self, place: int, values: Tensor) -> None:
        self._lows, self._highs = (each.to(values.device) for each in (self._lows, self._highs))
        low, high = range_of(*extremes(values.float()))
        if self._has_negative:
            self._lows[place].lerp_(low, RENEWED)
        self._highs[place].lerp_(high, RENEWED)
        self._renew()

    def _renew(self) -> None:
        scale, zero_point = asymmetric_range(self._lows.min(), self._highs.max())
        self.format = ActivationFormat(scale=scale, zero_point=zero_point)


def rounded(values: Tensor, stored: ActivationFormat) -> Tensor:
    """Return `values` fake-quantized as they are `stored`, on the CPU."""
    zero_point = stored.zero_point if stored.zero_point.any() else None
    return fake_quantize(values, stored.scale, zero_point, *stored.limits)


def attach_activations_(
    network: nn.Module, values: Values, formats: Mapping[str, ActivationFormat]
) -> None:
    """Let `network` compute, in place, with values rounded to their `formats`."""
    attach_rounding_(network, values, formats, lambda name, given: rounded(given, formats[name]))


def attach_groups_(network: nn.Module, values: Values, groups: Sequence[GroupQuantizer]) -> None:
    """Let `network` compute, in place, with values rounded by their `groups`."""
    of_value = {name: group for group in groups for name in group.names}
    attach_rounding_(network, values, of_value, lambda name, given: of_value[name](name, given))


def attach_rounding_(
    network: nn.Module,
    values: Values,
    names: Mapping[str, object],
    rounding: Callable[[str, Tensor], Tensor],
) -> None:
    """Let `network` go on, in place, with what `rounding` makes of each of the values `names`."""
    if not names:
        return
    called = values.by_call(names)

    def visit(call: str, given: Tensor, _: object) -> Tensor:
        for name in called[call]:
            given = rounding(name, given)
        return given

    CallWatch(network, visit, called)


class RangesFollow(StepCallback):
    """Lets the ranges of `groups` follow what is trained, for the first half of the steps."""

    def __init__(self, groups: Sequence[GroupQuantizer]) -> None:
        self._groups = groups

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let them follow from now on."""
        self._set(follows=True)

    def after_step(self, step: int, steps: float) -> None:
        """Let them stay once half of the steps are taken."""
        self._set(follows=step < FOLLOWING * steps)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let them stay, and bring them back to the CPU."""
        for group in self._groups:
            group.stay_()

    def _set(self, *, follows: bool) -> None:
        for group in self._groups:
            group.follows = follows
