"""Yes or no for each input."""

import torch
from torch import Tensor
from torch.nn import functional

from models.tasks.base import Task, divergence, refused


class Binary(Task):
    """Targets are 0 and 1, (N,) int64; answers are logits of 1, (N,) or (N, 1)."""

    name = "binary"
    wanted = "0 and 1, (N,) or (N, 1)"
    metric = "accuracy"

    def targets(self, labels: Tensor) -> Tensor:
        """Return 0 and 1."""
        if labels.dim() == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        return zeros_and_ones(self, labels, axes=1)

    def outputs(self, targets: Tensor) -> int:
        """Return 1."""
        del targets
        return 1

    def answer_shape(self, targets: Tensor, outputs: int) -> tuple[int, ...]:
        """Return (N,)."""
        del outputs
        return tuple(targets.shape)

    def probabilities(self, answers: Tensor) -> Tensor:
        """Return the sigmoid."""
        return answers.sigmoid()

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy of each yes or no."""
        return functional.binary_cross_entropy_with_logits(answers, targets.to(answers.dtype))

    def distance(self, answers: Tensor, wanted: Tensor) -> Tensor:
        """Return the divergence of each yes or no."""
        sides = (torch.stack([each, torch.zeros_like(each)], dim=1) for each in (answers, wanted))
        return divergence(*sides)

    def predicted(self, answers: Tensor) -> Tensor:
        """Return 1 for logits above 0, else 0."""
        return (answers > 0).to(torch.int64)


def zeros_and_ones(task: Task, labels: Tensor, *, axes: int) -> Tensor:
    """Return labels of so many axes as int64; `BadInputError` where they are not 0 and 1."""
    if labels.dim() != axes:
        raise refused(task, labels)
    if not bool(((labels == 0) | (labels == 1)).all()):
        raise refused(task, labels, " with other numbers")
    return labels.to(torch.int64)
