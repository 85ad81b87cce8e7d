"""Any metric of torchmetrics, by the name of its class."""

import difflib
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import torchmetrics
from torch import Tensor, nn

from models.data_source import DataSource, Part
from models.errors import BadInputError, first_line
from objectives.errors import MeasurementError, UndefinedScoreError
from objectives.score.base import Mode, Score, answers_of_file, answers_of_network
from objectives.score.file_network import FileNetwork

PACKAGES = ("classification", "regression", "segmentation")


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchMetric(Score):
    """What a metric computes over all answers and targets of a part."""

    kind: type[torchmetrics.Metric]
    arguments: Mapping[str, Any]

    @property
    def identity(self) -> str:
        """The class and what it is made with."""
        return f"{super(TorchMetric, self).identity} {sorted(self.arguments.items())}"

    def of_file(self, file: FileNetwork, data: DataSource, part: Part) -> float:
        """Return the metric of what a file answers."""
        return self._computed(answers_of_file(file, data, part), data)

    def of_network(self, network: nn.Module, data: DataSource, part: Part) -> float:
        """Return the metric of what a network answers."""
        return self._computed(answers_of_network(network, data, part), data)

    def _computed(self, answered: Iterable[tuple[Tensor, Tensor]], data: DataSource) -> float:
        metric = self.kind(**self.arguments)
        takes_classes = self.kind.__module__.startswith("torchmetrics.segmentation")
        told = data.task.predicted if takes_classes else data.task.probabilities
        try:
            for answers, targets in answered:
                metric.update(told(answers), targets)
            value = metric.compute()
        except (RuntimeError, TypeError, ValueError) as err:
            raise MeasurementError(f"{self.name} cannot score it: {first_line(err)}") from err
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise MeasurementError(
                f"{self.name} gives more than one number: --metric-args may say how they are "
                "averaged."
            )
        if not bool(value.isfinite()):
            raise UndefinedScoreError(f"{self.name} of it is {float(value)}.")
        return self.shown(float(value))


def torch_metric(
    name: str, arguments: Mapping[str, Any], mode: Mode | None, data: DataSource
) -> TorchMetric:
    """Return the metric called `name`, with what it needs of the data filled in.

    Raises:
        BadInputError: There is none, it takes no such arguments, or nobody knows whether more of
            it is better.
    """
    kind = _kind(name, data)
    known = inspect.signature(kind.__init__).parameters
    filled = {"num_classes": data.num_classes, "num_labels": data.num_classes}
    if kind.__module__.startswith("torchmetrics.segmentation"):
        filled["input_format"] = "index"  # type: ignore[assignment]
    own = {key: value for key, value in filled.items() if key in known}
    try:
        metric = kind(**(own | dict(arguments)))
    except (TypeError, ValueError) as err:
        raise BadInputError(f"The metric {name} cannot be made: {first_line(err)}") from err
    known_mode: dict[bool | None, Mode | None] = {True: "max", False: "min", None: mode}
    found = known_mode[metric.higher_is_better]
    if found is None:
        raise BadInputError(
            f"Whether more of {name} is better is not known: say --metric-mode max or min."
        )
    if mode not in {None, found}:
        raise BadInputError(f"`--metric-mode {mode}`: of {name} it is {found} that is better.")
    bounded = (metric.plot_lower_bound, metric.plot_upper_bound) == (0.0, 1.0)
    is_share = bounded and not kind.__module__.startswith("torchmetrics.regression")
    return TorchMetric(
        name=kind.__name__,
        mode=found,
        is_share=is_share,
        kind=kind,
        arguments=own | dict(arguments),
    )


def is_known(name: str, data: DataSource) -> bool:
    """Return whether there is a metric called `name`."""
    return not _kinds().keys().isdisjoint(_names(name, data))


def _names(name: str, data: DataSource) -> tuple[str, ...]:
    """Return that name, and that behind the task's: F1Score of multiclass."""
    return (name, f"{data.task.name.capitalize()}{name}", f"Multiclass{name}")


@cache
def _kinds() -> dict[str, type[torchmetrics.Metric]]:
    known: dict[str, type[torchmetrics.Metric]] = {}
    for package in PACKAGES:
        found = vars(import_module(f"torchmetrics.{package}"))
        known |= {key: kind for key, kind in found.items() if _is_metric(kind)}
    return known


def _kind(name: str, data: DataSource) -> type[torchmetrics.Metric]:
    known = _kinds()
    for each in _names(name, data):
        if each in known:
            return known[each]
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    raise BadInputError(
        f"torchmetrics has no metric '{name}' of classification, regression, segmentation.{hint}"
    )


def _is_metric(kind: object) -> bool:
    """Return whether it can be made without saying a task, which others choose a class by."""
    return (
        isinstance(kind, type)
        and issubclass(kind, torchmetrics.Metric)
        and "task" not in inspect.signature(kind.__new__).parameters
    )
