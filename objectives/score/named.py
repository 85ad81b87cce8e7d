"""The score that a user has named, or given as a function."""

import json
from collections.abc import Callable
from typing import Any

from torch import nn

from models.data_source import DataSource
from models.errors import BadInputError
from models.lightning import validates_itself
from models.resolve import load_callable
from objectives.score.accuracy import ACCURACY
from objectives.score.base import Mode, Score
from objectives.score.function import FunctionScore
from objectives.score.logged import LoggedScore
from objectives.score.torchmetric import is_known, torch_metric

OF_OWN = (
    "The labels are of no task that is known: say --metric and --metric-mode of what the "
    "`validation_step` of a LightningModule logs, or a function that scores files."
)


def score_named(
    metric: str | Callable[..., Any] | None,
    *,
    arguments: str | None = None,
    mode: Mode | None = None,
    data: DataSource,
    build: Callable[[], nn.Module] | None = None,
) -> Score:
    """Return the score for `data`, which are set up.

    Args:
        metric: `accuracy`, the name of a class of torchmetrics, `path/file.py:function`,
            `package.module:function`, a function, or what a `LightningModule` logs; None is what
            the task of `data` is scored by.
        arguments: JSON of what the class is made with.
        mode: Whether more or less is better; None where that is known.
        data: What is scored on.
        build: Makes the network, which may log metrics of its own.

    Raises:
        BadInputError: There is no such score, or not for these data.
    """
    metric = data.task.metric if metric is None else metric
    try:
        given = dict(json.loads(arguments or "{}"))
    except (TypeError, ValueError) as err:
        raise BadInputError(
            f"`--metric-args` must be a JSON object, but got {arguments!r}."
        ) from err
    if isinstance(metric, str) and ":" not in metric:
        if not metric:
            raise BadInputError(OF_OWN)
        if metric != ACCURACY.name:
            if build and not is_known(metric, data) and validates_itself(build()):
                told = f"{metric}` is none of torchmetrics'; if the network logs it"
                return LoggedScore(name=metric, mode=_sure(mode, told), build=build)
            return torch_metric(metric, given, mode, data)
        if given or mode == "min":
            raise BadInputError("Accuracy takes no `--metric-args`, and more of it is better.")
        if data.task.name == "own":
            raise BadInputError(OF_OWN)
        if data.task.name == "regression":
            raise BadInputError(
                "Of a regression there is no accuracy: say --metric MeanAbsoluteError."
            )
        return ACCURACY
    if given:
        raise BadInputError("`--metric-args` goes with a metric of torchmetrics.")
    mode = _sure(mode, f"{metric}` is a function")
    if not isinstance(metric, str):
        return FunctionScore(
            name=getattr(metric, "__qualname__", "metric"), mode=mode, function=metric
        )
    function = load_callable(metric, "--metric")
    return FunctionScore(name=metric.rpartition(":")[2], mode=mode, function=function)


def fingerprint_of(score: Score) -> str | None:
    """Return a hash over the code of a user's function, 16 hexadecimal digits; None of others."""
    return score.fingerprint() if isinstance(score, FunctionScore) else None


def _sure(mode: Mode | None, what: str) -> Mode:
    if mode is None:
        raise BadInputError(f"`--metric {what}, say --metric-mode max or min.")
    return mode
