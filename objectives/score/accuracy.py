"""Accuracy: the share of targets that are answered right."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor, nn

from models.data_source import DataSource, Part
from models.tasks.base import Task
from objectives.score.base import Score, answers_of_file, answers_of_network
from objectives.score.file_network import FileNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy(Score):
    """Of classes, of each yes and no, or of each pixel."""

    name: str = "accuracy"
    is_share: bool = True

    def of_file(self, file: FileNetwork, data: DataSource, part: Part) -> float:
        """Return the percentage that a file answers right."""
        return _right_pct(answers_of_file(file, data, part), data.task)

    def of_network(self, network: nn.Module, data: DataSource, part: Part) -> float:
        """Return the percentage that a network answers right."""
        return _right_pct(answers_of_network(network, data, part), data.task)


def _right_pct(answered: Iterable[tuple[Tensor, Tensor]], task: Task) -> float:
    correct, count = 0, 0
    for answers, targets in answered:
        correct += int((task.predicted(answers) == targets).sum())
        count += targets.numel()
    return 100 * correct / count


ACCURACY = Accuracy()
