"""What one reading of a loader met: how much, of which classes and shapes, and a hash of all."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.errors import BadInputError
from models.inputs import Given, tensors_of
from models.tasks.base import Task


class Seen:
    """What one reading of a loader met.

    Args:
        task: What is asked of the data.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._classes: Counter[int] = Counter()
        self._lengths: list[dict[int, set[int]]] = []
        self.count = 0
        self.bytes = 0
        """Of its inputs."""
        self.outputs = 0
        self.samples = 0
        """Sum of the hashes of its inputs with their targets: equal in any order."""
        self.batches = 0
        self.fewest = 2**63
        """Inputs in a batch."""
        self.is_whole = False
        """Whether the reading came to the end."""
        self._batch_sizes = hashlib.sha256()
        self._in_order = hashlib.sha256()

    def add_(self, given: Given, labels: Any, targets: Tensor) -> None:  # noqa: ANN401 - a user's
        """Count and hash a batch, in place."""
        self.batches += 1
        self.count += len(targets)
        self.fewest = min(self.fewest, len(targets))
        self.outputs = max(self.outputs, self._task.outputs(targets))
        if not targets.is_floating_point():
            self._classes.update(targets.flatten().tolist())
        self._batch_sizes.update(f"{len(targets)} ".encode())
        tensors = tensors_of(given)
        self._lengths = self._lengths or [{} for _ in tensors]
        for lengths, each in zip(self._lengths, tensors, strict=True):
            self.bytes += each.nbytes
            for axis, size in enumerate(each.shape[1:], 1):
                lengths.setdefault(axis, set()).add(size)
        kind = "".join(f"{tuple(each.shape[1:])}{each.dtype}" for each in tensors).encode()
        if not isinstance(labels, Tensor):
            kind += told(labels).encode()
        columns = [
            each.reshape(len(each), -1).contiguous().view(torch.uint8).numpy() for each in tensors
        ]
        for *parts, target in zip(*columns, targets.tolist(), strict=True):
            sample = hashlib.sha256(kind + f"{target}".encode())
            for part in parts:
                sample.update(part.data)
            self._in_order.update(sample.digest())
            self.samples += int.from_bytes(sample.digest())

    def varying_axes(self) -> list[frozenset[int]]:
        """Return the axes of each input whose length differs between batches."""
        return [
            frozenset(axis for axis, sizes in lengths.items() if len(sizes) > 1)
            for lengths in self._lengths
        ]

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


def told(value: Any) -> str:  # noqa: ANN401 - a user's
    """Return what is in a value of whatever kind, as text that is equal in each process."""
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray) and value.dtype != object:
        digest = hashlib.sha256(np.ascontiguousarray(value).data).hexdigest()
        return f"{value.dtype}{value.shape}{digest}"
    if isinstance(value, Mapping):
        return str({name: told(each) for name, each in value.items()})
    if isinstance(value, tuple | list):
        return str([told(each) for each in value])
    if isinstance(value, str | bytes | int | float | complex | None):
        return repr(value)
    if callable(getattr(value, "tobytes", None)):  # as of an image of PIL
        return f"{getattr(value, 'size', '')}{hashlib.sha256(value.tobytes()).hexdigest()}"
    return type(value).__qualname__  # of what it holds nothing is known
