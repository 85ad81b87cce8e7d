"""Several questions of yes or no for each input."""

from torch import Tensor

from models.tasks.binary import Binary, zeros_and_ones


class Multilabel(Binary):
    """Targets are 0 and 1, (N, labels) int64; answers are logits of 1, (N, labels)."""

    name = "multilabel"
    wanted = "0 and 1, (N, labels)"

    def targets(self, labels: Tensor) -> Tensor:
        """Return 0 and 1."""
        return zeros_and_ones(self, labels, axes=2)

    def outputs(self, targets: Tensor) -> int:
        """Return the number of labels."""
        return int(targets.shape[1])
