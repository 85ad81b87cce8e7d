"""A batch of a user's loader: which of it a network is given, and which are labels."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.errors import BadInputError
from models.inputs import Given, Inputs, tensors_of
from models.tasks.base import Task

LABELS = ("labels", "label", "targets", "target", "y")
"""What labels are called in a dictionary."""

INPUTS = {torch.float32, torch.bool, torch.uint8}
INPUTS |= {torch.int8, torch.int16, torch.int32, torch.int64}
"""What a file can take."""

FORMS = "(inputs..., labels), tensors, or a dictionary of them"


def unpacked(batch: Any, loader: str) -> tuple[Given, Any]:  # noqa: ANN401 - the user's
    """Return what a network is given and the labels, None if there are none.

    A batch is a tensor, without labels; a dictionary, whose labels are one of `LABELS` and whose
    tensors are arguments of `forward`; or a row, whose last part is the labels. What is before
    that are tensors, or a row or a dictionary of them.

    Args:
        batch: As the loader yields it.
        loader: Its name, for messages.

    Raises:
        BadInputError: It is none of these, or its inputs are none that a file could take.
    """
    inputs: Any = batch
    labels: Any = None
    if isinstance(batch, Mapping):
        name = next((each for each in LABELS if each in batch), None)
        inputs = {each: value for each, value in batch.items() if each != name}
        labels = None if name is None else batch[name]
    elif isinstance(batch, tuple | list) and batch:
        row = list(batch)
        labels = row.pop() if len(row) > 1 else None
        inputs = row[0] if len(row) == 1 else row
    if isinstance(labels, np.ndarray) or (
        isinstance(labels, list | tuple) and labels and isinstance(labels[0], int | float | str)
    ):
        raise BadInputError(
            f"The data's `{loader}` must yield labels that are a tensor, but got a "
            f"{type(labels).__name__}: let the collate function make one."
        )
    given = _given(inputs, loader)
    for each in tensors_of(given):
        if not each.dim() or (isinstance(labels, Tensor) and not labels.dim()):
            shape = tuple(labels.shape) if isinstance(labels, Tensor) else "none"
            raise BadInputError(
                f"The data's `{loader}` must yield batches, but got inputs {tuple(each.shape)} "
                f"and labels {shape}: let a DataLoader have a `batch_size`."
            )
        if each.dtype not in INPUTS:
            raise BadInputError(
                f"The data's `{loader}` must yield inputs of float32 or whole numbers, but got "
                f"{str(each.dtype).removeprefix('torch.')}: let the data cast them."
            )
    return given, labels.detach() if isinstance(labels, Tensor) else labels


def _given(inputs: Any, loader: str) -> Given:  # noqa: ANN401 - as above
    if isinstance(inputs, Tensor):
        return inputs.detach()
    if isinstance(inputs, Mapping):
        arrays = [name for name, each in inputs.items() if isinstance(each, np.ndarray)]
        if arrays:
            raise BadInputError(
                f"The data's `{loader}` must yield tensors, but '{arrays[0]}' is an array of "
                "NumPy: let the collate function make one."
            )
        named = {
            str(name): each.detach() for name, each in inputs.items() if isinstance(each, Tensor)
        }
        if named:
            return Inputs(tuple(named.values()), tuple(named))
    elif isinstance(inputs, tuple | list) and all(isinstance(each, Tensor) for each in inputs):
        return Inputs(tuple(each.detach() for each in inputs))
    raise BadInputError(f"The data's `{loader}` must yield {FORMS}.")


def checked(
    given: Given,
    labels: Any,  # noqa: ANN401 - as above
    task: Task,
    loader: str,
    number: int,
) -> Tensor:
    """Return the targets of the batch of that number.

    Where there are no labels, or they are no tensor, they have no numbers, (N, 0).

    Raises:
        BadInputError: They are none of the task, or not as many as the inputs; or these are not
            finite.
    """
    if not isinstance(labels, Tensor):
        labels = torch.empty(len(given), 0)
    try:
        targets = task.targets(labels)
    except BadInputError as err:
        raise BadInputError(f"The data's `{loader}`: {err}") from err
    for inputs in tensors_of(given):
        if targets.shape[:1] != inputs.shape[:1]:
            raise BadInputError(
                f"The data's `{loader}` must yield as many labels as inputs, but got "
                f"{tuple(labels.shape)} of {tuple(inputs.shape)}."
            )
        if inputs.is_floating_point() and not bool(inputs.isfinite().all()):
            index = int((~inputs.isfinite()).flatten(1).any(1).nonzero()[0])
            what = inputs[index][~inputs[index].isfinite()][0].item()
            raise BadInputError(
                f"The data's `{loader}` must yield finite inputs, but input {index} of batch "
                f"{number} has {what}."
            )
    return targets
