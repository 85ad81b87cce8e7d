"""What a task is: what targets look like, what a network answers, what is learnt from both."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from models.errors import BadInputError
from models.labels import kind_of


class Task(ABC):
    """A kind of question; it has no state."""

    name: ClassVar[str]
    wanted: ClassVar[str]
    """What labels must be, in words."""
    has_classes: ClassVar[bool] = False
    """Whether targets are classes, each below their number."""
    metric: ClassVar[str]
    """What files are scored by unless the user says otherwise."""

    @abstractmethod
    def targets(self, labels: Tensor) -> Tensor:
        """Return `labels`, of N inputs, as `loss` and metrics take them.

        Raises:
            BadInputError: They are none of this task; the text says what they must be.
        """

    @abstractmethod
    def outputs(self, targets: Tensor) -> int:
        """Return how many numbers an answer to the inputs of `targets` has at least.

        Of classes, their number; else the size of what is asked.
        """

    @abstractmethod
    def answer_shape(self, targets: Tensor, outputs: int) -> tuple[int, ...]:
        """Return the shape of the answers, (N, ...), to the inputs of `targets`."""

    def answers(self, given: Tensor, targets: Tensor, outputs: int) -> Tensor:
        """Return what a network has `given`, in the shape that `loss` and metrics take.

        Raises:
            BadInputError: It has another shape.
        """
        wanted = self.answer_shape(targets, outputs)
        if tuple(given.shape) != wanted and _plain(given.shape) != _plain(wanted):
            raise BadInputError(
                f"its answer to {len(targets)} inputs must have shape {wanted} "
                f"({self.name}), but has {tuple(given.shape)}."
            )
        return given.reshape(wanted)

    @abstractmethod
    def predicted(self, answers: Tensor) -> Tensor:
        """Return what the answers say, as targets say it."""

    def probabilities(self, answers: Tensor) -> Tensor:
        """Return the answers as metrics take them: logits as the probabilities that they mean."""
        return answers

    @abstractmethod
    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss, ()."""

    @abstractmethod
    def distance(self, answers: Tensor, wanted: Tensor) -> Tensor:
        """Return how far answers are, (), mean over the inputs, from those of another network."""

    def changed_pct(self, intact: Tensor, answers: Tensor) -> float:
        """Return how many answers are others than those of the intact network, percent."""
        return share_pct(self.predicted(intact) != self.predicted(answers))


def divergence(answers: Tensor, wanted: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence, (), of softmaxes over axis 1, in nats.

    It is the mean over all other axes.
    """
    given, expected = answers.log_softmax(dim=1), wanted.log_softmax(dim=1)
    found = functional.kl_div(given, expected, reduction="batchmean", log_target=True)
    return found / answers[0, 0].numel()


def share_pct(differs: Tensor) -> float:
    """Return the percentage that is true."""
    return 100 * float(differs.float().mean())


def refused(task: Task, labels: Tensor, what: str = "") -> BadInputError:
    """Return the error of labels that are none of `task`."""
    return BadInputError(f"Labels must be {task.wanted}, but got {kind_of(labels)}{what}.")


def _plain(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without a last axis of one number."""
    return tuple(shape[:-1]) if len(shape) > 1 and shape[-1] == 1 else tuple(shape)
