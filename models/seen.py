"""What one reading of a loader met: how much, of which classes, and a hash of all."""

import hashlib
from collections import Counter

import torch
from torch import Tensor

from models.errors import BadInputError
from models.tasks.base import Task


class Seen:
    """What one reading of a loader met."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._classes: Counter[int] = Counter()
        self.count = 0
        self.outputs = 0
        self.samples = 0
        """Sum of the hashes of its inputs with their targets: equal in any order."""
        self.batches = 0
        self._batch_sizes = hashlib.sha256()
        self._in_order = hashlib.sha256()

    def add_(self, inputs: Tensor, targets: Tensor) -> None:
        """Count and hash a batch, in place."""
        self.batches += 1
        self.count += len(targets)
        self.outputs = max(self.outputs, self._task.outputs(targets))
        if not targets.is_floating_point():
            self._classes.update(targets.flatten().tolist())
        self._batch_sizes.update(f"{len(targets)} ".encode())
        kind = f"{tuple(inputs.shape[1:])}{inputs.dtype}".encode()
        rows = inputs.reshape(len(inputs), -1).contiguous().view(torch.uint8).numpy()
        for row, target in zip(rows, targets.tolist(), strict=True):
            sample = hashlib.sha256(kind + f"{target}".encode())
            sample.update(row.data)
            self._in_order.update(sample.digest())
            self.samples += int.from_bytes(sample.digest())

    def require_classes(self, classes: int, loader: str) -> None:
        """Raise `BadInputError` where a class is none of so many."""
        wrong = [each for each in self._classes if not 0 <= each < classes]
        if wrong and self._task.has_classes:
            hint = " Leave inputs out that have no class." if wrong[0] < 0 else ""
            raise BadInputError(
                f"The data's `{loader}` must yield labels in [0, {classes}), "
                f"but got {wrong[0]}.{hint}"
            )

    def facts(self) -> tuple[object, ...]:
        """Return what decides a training: labels, sizes of batches, samples, their order."""
        return (
            sorted(self._classes.items()),
            self._batch_sizes.hexdigest(),
            self.samples,
            self._in_order.hexdigest(),
        )
