"""One class of several for each pixel."""

import torch
from torch import Tensor

from models.tasks.base import refused
from models.tasks.multiclass import Multiclass


class Segmentation(Multiclass):
    """Targets are classes, (N, H, W) int64; answers are logits, (N, classes, H, W)."""

    name = "segmentation"
    wanted = "numbers of classes, (N, H, W) or (N, 1, H, W)"
    metric = "MulticlassJaccardIndex"

    def targets(self, labels: Tensor) -> Tensor:
        """Return the number of each pixel's class."""
        if labels.dim() == 4 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.dim() != 3 or labels.is_complex():
            raise refused(self, labels)
        if labels.is_floating_point() and not torch.equal(labels.round(), labels):
            raise refused(self, labels, " that are not whole")
        return labels.to(torch.int64)

    def answer_shape(self, targets: Tensor, outputs: int) -> tuple[int, ...]:
        """Return (N, classes, H, W)."""
        return len(targets), outputs, *targets.shape[1:]
