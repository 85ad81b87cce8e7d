"""Labels as people have them, as the number of a class for each input."""

import torch
from torch import Tensor

from models.errors import BadInputError

FORMS = "numbers of classes, (N,) or (N, 1), or one-hot (N, classes)"


def class_numbers(labels: Tensor) -> Tensor:
    """Return `labels` as int64 (N,): of any type, of one column, or one-hot.

    Raises:
        BadInputError: They are none of these; the text says what they must be.
    """
    if labels.dim() == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dim() == 2:
        ones = (labels == 1).sum(1)
        if not bool(((labels == 0) | (labels == 1)).all()):
            raise BadInputError(
                f"Labels must be {FORMS}, but got {kind_of(labels)} other than 0 and 1."
            )
        if not bool((ones == 1).all()):
            raise BadInputError(
                f"Labels must be {FORMS}, but got {kind_of(labels)} with "
                f"{int(ones[ones != 1][0])} classes for an input: several at once are the task "
                "multilabel."
            )
        return labels.argmax(1)
    if labels.dim() != 1:
        raise BadInputError(f"Labels must be {FORMS}, but got {kind_of(labels)}.")
    if labels.is_floating_point() or labels.is_complex():
        whole = labels.round()
        if labels.is_complex() or not torch.equal(whole, labels):
            raise BadInputError(
                f"Labels must be {FORMS}, but got {kind_of(labels)} that are not whole: such "
                "are the task regression."
            )
    return labels.to(torch.int64)


def kind_of(labels: Tensor) -> str:
    """Return type and shape in words."""
    return f"{str(labels.dtype).removeprefix('torch.')} {tuple(labels.shape)}"
