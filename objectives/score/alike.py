"""Whether a file answers every input the same: such a network is of no use, whatever its score."""

import torch
from torch import Tensor

from models.data_source import DataSource, Part
from objectives.score.accuracy import ACCURACY
from objectives.score.base import Score
from objectives.score.file_network import FileNetwork

PIECE = 8
"""Inputs that are asked at a time: of a network that is of use the first piece tells."""
RELATIVE, ABSOLUTE = 1e-5, 1e-6
"""By how much answers of one number may differ: of themselves, and of the largest."""


def answers_alike(file: FileNetwork, data: DataSource, part: Part, score: Score) -> bool:
    """Return whether the file answers each input of a part the same.

    Where accuracy counts, that is the same class; else the same numbers, but for rounding. It
    stops at the first answer that is another; a part of one input tells nothing.

    Raises:
        MeasurementError: It cannot run.
    """
    first: Tensor | None = None
    count = 0
    for inputs, targets in data.batches(part):
        pieces = zip(inputs.split(PIECE), targets.split(PIECE), strict=False)
        for given, wanted in pieces:
            if score == ACCURACY:
                told = data.task.predicted(file.answers(given, wanted))
            else:
                told = file.raw_answers(given)
            first = told[:1] if first is None else first
            if told.shape[1:] != first.shape[1:] or not _same(told, first):
                return False
            count += len(told)
    return count > 1


def _same(told: Tensor, first: Tensor) -> bool:
    least = ABSOLUTE * float(first.abs().max()) if first.numel() else 0.0
    wanted = first.double().expand(told.shape)
    return bool(torch.isclose(told.double(), wanted, rtol=RELATIVE, atol=least).all())
