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
from objectives.network.fingerprint import Fingerprint
from objectives.score.base import Score, answers_of_network
from objectives.score.file_network import FileNetwork

POSITIONAL = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionScore(Score):
    """What `function(onnx_path)` returns, or `function(onnx_path, part)` if it takes two."""

    function: Callable[..., Any]

    @property
    def identity(self) -> str:
        """The function's name and its hash."""
        return f"{super(FunctionScore, self).identity} {self.fingerprint()}"

    def fingerprint(self) -> str:
        """Return a hash over the function, what it calls and what it holds, 16 digits."""
        told = Fingerprint({str(self.function.__module__).partition(".")[0]})
        told.add(self.function, "the metric")
        return told.hexdigest()[:16]

    @property
    def is_of_networks(self) -> bool:
        """No function scores what is no file."""
        return False

    @property
    def knows_parts(self) -> bool:
        """Whether the function is told which part counts; if not, both have the same score."""
        return takes_a_part(self.function)

    def of_file(self, file: FileNetwork, data: DataSource, part: Part) -> float:
        """Return what the function says of the file."""
        del data
        where = (str(file.path), part) if self.knows_parts else (str(file.path),)
        try:
            value = self.function(*where)
        except (Exception, SystemExit) as err:  # of whatever the user's code does not like
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
    """Return whether `function` takes a path and a part: it names that, or needs two arguments."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of what is written in C
        return False
    parameters = list(signature.parameters.values())
    positional = [each for each in parameters if each.kind in POSITIONAL]
    second = positional[1:2]
    return any(each.name == "part" or each.default is each.empty for each in second)
