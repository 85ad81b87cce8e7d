"""A function of the user's that scores a file."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from models.data_source import DataSource, Part
from models.errors import first_line
from objectives.errors import MeasurementError, UndefinedScoreError
from objectives.score.base import Score, answers_of_network
from objectives.score.onnx_network import OnnxNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionScore(Score):
    """What `function(onnx_path)` returns, or `function(onnx_path, part)` if it takes two."""

    function: Callable[..., Any]

    @property
    def knows_parts(self) -> bool:
        """Whether the function is told which part counts; if not, both have the same score."""
        return takes_a_part(self.function)

    def of_file(self, file: OnnxNetwork, data: DataSource, part: Part) -> float:
        """Return what the function says of the file."""
        del data
        where = (str(file.path), part) if self.knows_parts else (str(file.path),)
        try:
            value = self.function(*where)
        except Exception as err:  # of whatever the user's code does not like
            raise MeasurementError(
                f"{self.name} ended with {type(err).__name__}: {first_line(err)}"
            ) from err
        try:
            number = float(value)
        except (TypeError, ValueError) as err:
            raise MeasurementError(
                f"{self.name} must return a number, but returned {type(value).__name__}."
            ) from err
        if not math.isfinite(number):
            raise UndefinedScoreError(f"{self.name} of it is {number}.")
        return number

    def of_network(self, network: nn.Module, data: DataSource, part: Part) -> float:
        """Return the mean loss, as a value of this score: no function scores what is no file."""
        total, count = 0.0, 0
        for answers, targets in answers_of_network(network, data, part):
            total += float(data.task.loss(answers, targets)) * len(targets)
            count += len(targets)
        return -self.worth(total / count)


def takes_a_part(function: Callable[..., Any]) -> bool:
    """Return whether `function` can be called with a path and a part."""
    try:
        inspect.signature(function).bind("", "")
    except (TypeError, ValueError):
        return False
    return True
