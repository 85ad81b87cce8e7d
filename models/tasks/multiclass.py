"""One class of several for each input."""

from torch import Tensor
from torch.nn import functional

from models.labels import FORMS, class_numbers
from models.tasks.base import Task, divergence


class Multiclass(Task):
    """Targets are classes, (N,) int64; answers are logits, (N, classes)."""

    name = "multiclass"
    wanted = FORMS
    has_classes = True
    metric = "accuracy"

    def targets(self, labels: Tensor) -> Tensor:
        """Return the number of each class."""
        return class_numbers(labels)

    def outputs(self, targets: Tensor) -> int:
        """Return the number of classes."""
        return int(targets.max()) + 1

    def answer_shape(self, targets: Tensor, outputs: int) -> tuple[int, ...]:
        """Return (N, classes)."""
        return len(targets), outputs

    def probabilities(self, answers: Tensor) -> Tensor:
        """Return the softmax."""
        return answers.softmax(dim=1)

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy."""
        return functional.cross_entropy(answers, targets)

    def distance(self, answers: Tensor, wanted: Tensor) -> Tensor:
        """Return the divergence of the softmaxes."""
        return divergence(answers, wanted)

    def predicted(self, answers: Tensor) -> Tensor:
        """Return the class of the largest logit."""
        return answers.argmax(dim=1)
