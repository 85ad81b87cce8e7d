"""What each task owes the others."""

import pytest
import torch
from torch import Tensor

from models.errors import BadInputError
from models.tasks import TASKS, guessed
from models.tasks.base import Task
from search.settings.parsing import TASK_NAMES

CASES: dict[str, tuple[Tensor, tuple[int, ...], Tensor]] = {
    "multiclass": (torch.tensor([0, 2, 1]), (3, 3), torch.tensor([0.5, 1.0, 2.0])),
    "binary": (torch.tensor([0, 1, 1]), (3, 1), torch.tensor([0, 2, 1])),
    "multilabel": (torch.tensor([[0, 1], [1, 1]]), (2, 2), torch.tensor([[0.0, 0.5]])),
    "regression": (torch.tensor([0.3, -2.0]), (2, 1), torch.tensor([1.0, float("nan")])),
    "segmentation": (torch.zeros(2, 4, 4).long(), (2, 3, 4, 4), torch.tensor([1])),
}
"""Labels, the shape of what a network gives, and labels of another task."""


@pytest.mark.parametrize("name", CASES)
def test_answers_are_learnt_and_scored(name: str) -> None:
    task, (labels, shape, _) = TASKS[name], CASES[name]
    targets = task.targets(labels)
    outputs = max(task.outputs(targets), 3 if name in {"multiclass", "segmentation"} else 0)
    given = torch.randn(shape, generator=torch.Generator().manual_seed(0), requires_grad=True)
    answers = task.answers(given, targets, outputs)
    loss = task.loss(answers, targets)
    loss.backward()
    assert loss.shape == ()
    assert bool(given.grad.abs().sum() > 0)
    assert task.predicted(answers).shape == targets.shape
    answers = answers.detach()
    assert task.changed_pct(answers, answers) == 0
    assert task.changed_pct(answers, -answers) > 0
    assert float(task.distance(answers, answers)) == pytest.approx(0, abs=1e-6)
    assert float(task.distance(answers, -answers)) > 0


@pytest.mark.parametrize("name", CASES)
def test_labels_and_answers_of_another_kind_are_one_line(name: str) -> None:
    task, (labels, shape, others) = TASKS[name], CASES[name]
    with pytest.raises(BadInputError, match="Labels must be ") as caught:
        task.targets(others)
    assert "\n" not in str(caught.value)
    targets = task.targets(labels)
    with pytest.raises(BadInputError, match=rf"must have shape .* \({name}\), but has \(1, 7, 7"):
        task.answers(torch.zeros(1, 7, 7, 7, 7), targets, 3)
    assert shape[0] == len(targets)


@pytest.mark.parametrize("task", [TASKS[name] for name in CASES])
def test_a_perfect_answer_loses_least(task: Task) -> None:
    targets = task.targets(CASES[task.name][0])
    if task.name in {"multiclass", "segmentation"}:
        right = 10 * torch.nn.functional.one_hot(targets, 3).movedim(-1, 1).float()
    elif task.name == "regression":
        right = targets
    else:
        right = 20.0 * targets - 10
    assert float(task.loss(right, targets)) < float(task.loss(-right, targets))
    assert torch.equal(task.predicted(right), targets)


def test_whole_floats_are_classes_only_if_all_from_0_on_are_there() -> None:
    assert guessed(torch.tensor([0.0, 1.0, 2.0, 1.0])).name == "multiclass"
    assert guessed(torch.tensor([25.0, 151.0, 75.0])).name == "regression"
    assert guessed(torch.tensor([[0, 1], [1, 0]])).name == "multiclass"
    assert guessed(torch.tensor([[0.0], [1.5]])).name == "regression"


def test_the_command_line_knows_each_task() -> None:
    assert list(TASKS) == list(TASK_NAMES)
