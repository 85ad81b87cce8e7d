"""Run any ONNX file as a user would: ONNX Runtime's default session on the CPU.

The file may come from anywhere. It has one input, shaped like the data's, its batch size free or
1, and one output, of classes a logit (or a probability) each; their names do not matter.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.data_source import DataSource
from models.errors import BadInputError, first_line
from objectives.errors import MeasurementError
from objectives.onnx_session import open_session


class OnnxNetwork:
    """An ONNX file, open.

    Args:
        path: The file.
        data: Set up already; what the file is to answer.
        threads: How many compute one answer.

    Raises:
        MeasurementError: ONNX Runtime cannot open it, or it does not take such inputs; the text
            does not name the file.
    """

    def __init__(self, path: Path, data: DataSource, *, threads: int) -> None:
        self._session = open_session(path, "it", threads=threads)
        self.path = path
        self._task, self._outputs = data.task, data.num_classes
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise MeasurementError(
                "it must have one input and one output, "
                f"but it has {len(inputs)} and {len(outputs)}."
            )
        self._input, self._output = inputs[0].name, outputs[0].name
        self._batch = inputs[0].shape[0] if inputs[0].shape else 0
        _check_shape(inputs[0].shape, data.input_shape)

    def answers(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the answers to `inputs`, (N, ...), as the task of `targets` wants them.

        Raises:
            MeasurementError: It cannot run, or its answers are not finite or no such answers.
        """
        rows = inputs.numpy()
        parts = np.split(rows, len(rows)) if self._batch == 1 else [rows]
        given = torch.from_numpy(
            np.concatenate([np.atleast_1d(self.answer(part)) for part in parts])
        )
        try:
            answers = self._task.answers(given, targets, self._outputs)
        except BadInputError as err:
            raise MeasurementError(str(err)) from err
        if not bool(answers.isfinite().all()):
            raise MeasurementError("its answers are not all finite.")
        return answers

    def answer(self, inputs: np.ndarray) -> np.ndarray:
        """Return what the file gives for `inputs`, one where its batch size is 1, unchecked.

        Raises:
            MeasurementError: It cannot run.
        """
        try:
            (given,) = self._session.run([self._output], {self._input: inputs})
        except Exception as err:  # ONNX Runtime's exceptions share no base class
            raise MeasurementError(f"ONNX Runtime cannot run it: {first_line(err)}") from err
        answer: np.ndarray = given
        return answer


def _check_shape(taken: list[int | str | None], given: tuple[int, ...]) -> None:
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
