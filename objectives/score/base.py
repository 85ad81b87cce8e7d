"""What a score is, and how much better or worse one value is than another."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.data_source import DataSource, Part
from models.errors import BadInputError
from models.inputs import ask
from objectives.errors import MeasurementError
from objectives.score.file_network import FileNetwork

Mode = Literal["max", "min"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score(ABC):
    """A way to score files: a number for a part of the data."""

    name: str
    mode: Mode = "max"
    """Whether more or less of it is better."""
    is_share: bool = False
    """Whether it lies between 0 and 1; then values are told in percent."""

    @property
    def identity(self) -> str:
        """What decides its values, in a line."""
        return f"{self.name} {self.mode}"

    @property
    def knows_parts(self) -> bool:
        """Whether validation and test have a score each."""
        return True

    @property
    def is_of_networks(self) -> bool:
        """Whether networks in memory have this score, not only what stands for it."""
        return True

    @abstractmethod
    def of_file(self, file: FileNetwork, data: DataSource, part: Part) -> float:
        """Return the score of an open file on a part, percent where it is a share.

        Raises:
            MeasurementError: The file cannot be run, or gives what cannot be scored.
        """

    @abstractmethod
    def of_network(self, network: nn.Module, data: DataSource, part: Part) -> float:
        """Return the same of a network in memory, or what stands for it: a guide, never a result.

        The network is in evaluation mode.
        """

    def worth(self, value: float) -> float:
        """Return a number that is higher where `value` is better."""
        return value if self.mode == "max" else -value

    def delta_pct(self, value: float, baseline: float) -> float:
        """Return how much better `value` is than the baseline's; below 0 it is worse.

        Percentage points of a share, else percent of the baseline's value.
        """
        gained = self.worth(value) - self.worth(baseline)
        if self.is_share or gained == 0:
            return gained
        return 100 * gained / abs(baseline) if baseline else math.copysign(math.inf, gained)

    def least_worth(self, value: float, drop_pct: float) -> float:
        """Return the worth of what is worse than `value` by so much of `delta_pct`."""
        drop = drop_pct if self.is_share else drop_pct / 100 * abs(value)
        return self.worth(value) - drop

    def shown(self, value: float) -> float:
        """Return a raw value as it is told."""
        return 100 * value if self.is_share else value


def answers_of_file(
    file: FileNetwork, data: DataSource, part: Part
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield answers and targets of each batch of a part.

    Raises:
        MeasurementError: The file cannot be run, or answers otherwise than the task wants.
    """
    count = 0
    for inputs, targets in data.batches(part):
        yield file.answers(inputs, targets), targets
        count += len(targets)
    if count == 0:
        raise MeasurementError(f"the {part} part is empty.")


def answers_of_network(
    network: nn.Module, data: DataSource, part: Part
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield answers and targets of each batch of a part, on the CPU."""
    device = next(network.parameters()).device
    with torch.no_grad():
        for inputs, targets in data.batches(part):
            given = ask(network, inputs.to(device)).cpu()
            try:
                yield data.task.answers(given, targets, data.num_classes), targets
            except BadInputError as err:
                raise MeasurementError(str(err)) from err
