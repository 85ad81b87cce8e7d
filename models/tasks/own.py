"""Whatever a `LightningModule` learns by steps of its own, and scores by what it logs."""

from torch import Tensor
from torch.nn import functional

from models.errors import BadInputError
from models.tasks.base import Task
from models.tasks.regression import changed_by_spread_pct


class Own(Task):
    """Targets are the labels as they are; answers have any shape."""

    name = "own"
    wanted = "anything"
    metric = ""

    def targets(self, labels: Tensor) -> Tensor:
        """Return the labels."""
        return labels

    def outputs(self, targets: Tensor) -> int:
        """Return 1: nobody asks."""
        del targets
        return 1

    def answer_shape(self, targets: Tensor, outputs: int) -> tuple[int, ...]:
        """Return (N,), of which the network says more."""
        del outputs
        return (len(targets),)

    def answers(self, given: Tensor, targets: Tensor, outputs: int) -> Tensor:
        """Return what was given."""
        del targets, outputs
        return given

    def predicted(self, answers: Tensor) -> Tensor:
        """Return the answers."""
        return answers

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        """Raise `BadInputError`: only the network knows it."""
        raise BadInputError(
            f"What is learnt from labels {tuple(targets.shape)} is none of the known tasks: let a "
            "LightningModule learn it by its own `training_step`."
        )

    def distance(self, answers: Tensor, wanted: Tensor) -> Tensor:
        """Return the mean squared difference."""
        return functional.mse_loss(answers, wanted)

    def changed_pct(self, intact: Tensor, answers: Tensor) -> float:
        """Return how many numbers are elsewhere by a tenth of their spread, or more."""
        return changed_by_spread_pct(intact, answers)
