"""A file that is open, whatever runs it: its inputs, its outputs, its answers.

Its inputs are shaped like the data's, its batch size free or 1; where data have names for them, by
these. Its answer, of classes a logit (or a probability) each, is the output called `logits`, or
else the first.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.data_source import DataSource
from models.errors import BadInputError
from models.inputs import ANSWER, Given, Inputs, tensors_of
from objectives.errors import MeasurementError


class FileNetwork(ABC):
    """A file, open.

    Args:
        path: The file.
        data: Set up already; what the file is to answer.
        shapes: Of its inputs, the number of rows first, by name; a side that is free is no number.
        outputs: Names of its outputs.

    Raises:
        MeasurementError: It does not take such inputs; the text does not name the file.
    """

    def __init__(
        self,
        path: Path,
        data: DataSource,
        shapes: Mapping[str, Sequence[int | str | None]],
        outputs: Sequence[str],
    ) -> None:
        self.path = path
        self._task, self._outputs = data.task, data.num_classes
        self.input_names, self.output_names = list(shapes), list(outputs)
        self.answer_name = ANSWER if ANSWER in self.output_names else self.output_names[0]
        example = self.feeds(data.training_inputs(1))
        for name, shape in shapes.items():
            _check_shape(shape, example[name].shape[1:])
        self._batch = shapes[self.input_names[0]][0]

    def answers(self, inputs: Given, targets: Tensor) -> Tensor:
        """Return the answers to N inputs as the task of `targets` wants them.

        Raises:
            MeasurementError: It cannot run, or its answers are not finite or no such answers.
        """
        given = self.raw_answers(inputs)
        try:
            answers = self._task.answers(given, targets, self._outputs)
        except BadInputError as err:
            raise MeasurementError(str(err)) from err
        if not bool(answers.isfinite().all()):
            raise MeasurementError("its answers are not all finite.")
        return answers

    def raw_answers(self, inputs: Given) -> Tensor:
        """Return the answers to N inputs as the file gives them, unchecked.

        Raises:
            MeasurementError: It cannot run.
        """
        parts = inputs.split(1) if self._batch == 1 else [inputs]
        return torch.from_numpy(
            np.concatenate([np.atleast_1d(self.answer(self.feeds(part))) for part in parts])
        )

    def feeds(self, given: Given) -> dict[str, np.ndarray]:
        """Return what the file takes, by name.

        Raises:
            MeasurementError: The data have other inputs.
        """
        return feeds_for(self.input_names, given)

    def answer(self, feeds: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return its answer to inputs, by name, one of them where its batch size is 1, unchecked.

        Raises:
            MeasurementError: It cannot run.
        """
        answer: np.ndarray = self._run([self.answer_name], feeds)[0]
        return answer

    def all_outputs(self, feeds: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """Return the same of all outputs, by name."""
        values = self._run(self.output_names, feeds)
        return {
            name: torch.from_numpy(np.asarray(each))
            for name, each in zip(self.output_names, values, strict=True)
        }

    @abstractmethod
    def _run(self, outputs: Sequence[str], feeds: Mapping[str, np.ndarray]) -> list[Any]:
        """Return outputs for inputs, in order.

        Raises:
            MeasurementError: It cannot run.
        """


def feeds_for(names: Sequence[str], given: Given) -> dict[str, np.ndarray]:
    """Return what a file takes whose inputs have such names.

    Raises:
        MeasurementError: The data have other inputs.
    """
    tensors = tensors_of(given)
    ours = given.names if isinstance(given, Inputs) else ()
    if len(names) == 1 and (len(tensors) == 1 or not ours):
        return {names[0]: tensors[0].numpy()}
    known = dict(zip(ours or names, tensors, strict=False))
    if not known.keys() >= set(names):
        count = "one input" if len(tensors) == 1 else f"{len(tensors)} inputs"
        raise MeasurementError(
            f"it takes {', '.join(names)}, but the data yield {', '.join(ours) or count}."
        )
    return {name: known[name].numpy() for name in names}


def _check_shape(taken: Sequence[int | str | None], given: tuple[int, ...]) -> None:
    """Raise `MeasurementError` unless inputs of shape `given`, one or many, fit `taken`."""
    shown = ", ".join("N" if not isinstance(side, int) else str(side) for side in taken)
    if len(taken) != 1 + len(given):
        raise MeasurementError(
            f"it takes inputs of shape ({shown}), but the data's have shape {given} each."
        )
    batch, *sides = taken
    if isinstance(batch, int) and batch != 1:
        raise MeasurementError(f"its batch size must be free or 1, but is {batch}.")
    if any(
        isinstance(side, int) and side != ours for side, ours in zip(sides, given, strict=True)
    ):
        raise MeasurementError(
            f"it takes inputs of shape ({shown}), but the data's have shape {given} each; "
            "`--input-size` resizes images."
        )
