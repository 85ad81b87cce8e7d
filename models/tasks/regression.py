"""Numbers for each input."""

from math import prod

from torch import Tensor
from torch.nn import functional

from models.tasks.base import Task, refused, share_pct

CHANGED = 0.1
"""Standard deviations of the intact network's answers from which on an answer is another one."""


class Regression(Task):
    """Targets are float32, (N,) or (N, ...); answers have that shape, or one more axis of 1."""

    name = "regression"
    wanted = "finite numbers, (N,) or (N, ...)"
    metric = "MeanAbsoluteError"

    def targets(self, labels: Tensor) -> Tensor:
        """Return float32; of one column, (N,)."""
        if labels.dim() == 0 or labels.is_complex():
            raise refused(self, labels)
        if not bool(labels.isfinite().all()):
            raise refused(self, labels, " with others")
        if labels.dim() == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        return labels.float()

    def outputs(self, targets: Tensor) -> int:
        """Return how many numbers are asked of an input."""
        return prod(targets.shape[1:])

    def answer_shape(self, targets: Tensor, outputs: int) -> tuple[int, ...]:
        """Return the shape of the targets."""
        del outputs
        return tuple(targets.shape)

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        """Return the mean squared error."""
        return functional.mse_loss(answers, targets)

    def distance(self, answers: Tensor, wanted: Tensor) -> Tensor:
        """Return the mean squared difference."""
        return functional.mse_loss(answers, wanted)

    def predicted(self, answers: Tensor) -> Tensor:
        """Return the answers."""
        return answers

    def changed_pct(self, intact: Tensor, answers: Tensor) -> float:
        """Return how many answers are elsewhere by a tenth of their spread, or more."""
        return changed_by_spread_pct(intact, answers)


def changed_by_spread_pct(intact: Tensor, answers: Tensor) -> float:
    """Return the percentage of numbers that are elsewhere by `CHANGED`, or more."""
    spread = float(intact.std()) or 1.0
    return share_pct((intact - answers).abs() > CHANGED * spread)
