"""What networks are asked.

`multiclass`, `binary`, `multilabel`, `regression`, `segmentation`, or what a `LightningModule`
learns by steps of its `own`.

A task says what targets look like, what a network answers, and what is learnt from both.
"""

import torch
from torch import Tensor

from models.errors import BadInputError
from models.labels import kind_of
from models.tasks.base import Task
from models.tasks.binary import Binary
from models.tasks.multiclass import Multiclass
from models.tasks.multilabel import Multilabel
from models.tasks.own import Own
from models.tasks.regression import Regression
from models.tasks.segmentation import Segmentation

MULTICLASS = Multiclass()
ALL = (MULTICLASS, Binary(), Multilabel(), Regression(), Segmentation(), Own())
TASKS: dict[str, Task] = {task.name: task for task in ALL}
"""By name."""

MOST_WHOLE_CLASSES = 100
"""Floats that are the whole numbers from 0 on are classes if they are so few."""


def guessed(labels: Tensor) -> Task:
    """Return the task that has such labels, (N, ...), by their type and shape.

    Numbers that are whole are classes, floats only if they are all of the numbers from 0 on; of a
    row of 0 and 1 one class, where each row has a single 1, else several labels; a plane of whole
    numbers is a class for each pixel; what else there is of whole numbers the network knows.
    """
    if labels.is_complex():
        raise BadInputError(f"Labels must be real numbers, but got {kind_of(labels)}.")
    values = labels[:, 0] if labels.dim() in {2, 4} and labels.shape[1] == 1 else labels
    if values.dtype == torch.bool and values.dim() == 1:
        return TASKS["binary"]
    is_binary = bool(((values == 0) | (values == 1)).all())
    if values.dim() == 2 and is_binary:
        one_hot = bool((values.sum(1) == 1).all())
        return MULTICLASS if one_hot else TASKS["multilabel"]
    if values.is_floating_point():
        few = values.unique()[: MOST_WHOLE_CLASSES + 1]
        counted = torch.equal(few, torch.arange(len(few), dtype=few.dtype))
        is_classes = values.dim() == 1 and counted and len(few) <= MOST_WHOLE_CLASSES
        return MULTICLASS if is_classes else TASKS["regression"]
    return {1: MULTICLASS, 3: TASKS["segmentation"]}.get(values.dim(), TASKS["own"])
