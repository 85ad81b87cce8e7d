"""A weight as a matrix of small numbers: what frames the decisions of `matrix`."""

import numpy as np

from objectives.container.payloads import Payload
from objectives.container.solid import matrix
from objectives.container.solid.bits import State
from objectives.container.solid.stream import Stream
from objectives.errors import ContainerError

LEAST_COLUMNS = 16
"""A narrower matrix is coded as one row."""
MOST_PERIOD = 512
CHUNK = 1 << 16
"""Elements coded at a time, but for a longer row; then it is seen whether bytes are left."""
SAMPLE = 1 << 18
"""Elements of whole rows that the period is chosen by."""
PERIOD, LEVEL, SPREAD = range(3)
"""Fields of symbols."""
WEIGHT = 11_000
"""Of each of eight contexts at first, in 1/2**16."""


def new_model(stream: Stream) -> State:
    """Return the model of all matrices of a file."""
    return stream.model(
        contexts=matrix.CONTEXTS, sets=matrix.SETS, kinds=matrix.KINDS, weight=WEIGHT
    )


def code_matrix(
    stream: Stream, model: State, payload: Payload, ranks: np.ndarray, limits: tuple[int, int]
) -> None:
    """Code the ranks of a weight, or fill them in.

    Args:
        stream: Where to.
        model: From `new_model`.
        payload: Of the weight.
        ranks: int32, shape (elements,).
        limits: The largest magnitudes there are below and above 0.
    """
    rows, columns = payload.rows, payload.columns
    if columns < LEAST_COLUMNS:
        rows, columns = 1, payload.count
    period = payload.kernel
    if not 2 <= period <= MOST_PERIOD:
        period = 2
        if rows > 1:
            given = (
                0
                if stream.is_decoding
                else _period(ranks.reshape(rows, columns)[: -(-SAMPLE // columns)] != 0)
            )
            period = stream.count(PERIOD, given)
            if not 2 <= period <= MOST_PERIOD:
                raise ContainerError("The container is damaged: a period is too long.")
    magnitudes = np.abs(ranks)
    total = int(magnitudes.sum())
    present = max(1, int(np.count_nonzero(magnitudes)))
    levels = matrix.level_table()
    mean = stream.symbol(LEVEL, int(levels[min(65535, (total << 10) // max(1, ranks.size))]), 6)
    spread = stream.symbol(SPREAD, int(levels[min(65535, (total << 10) // present)]), 6)
    numbers = matrix.Matrix(
        levels,
        (1 << 20) // (np.arange(columns) + matrix.ROW_PRIOR),
        ranks,
        columns,
        period,
        _estimate(mean),
        _estimate(spread),
        limits[0],
        limits[1],
        np.zeros(columns, np.int64),
        np.zeros(columns, np.int64),
        np.zeros(columns, np.int64),
        np.array([0, 2], np.int64),
    )
    step = max(1, CHUNK // columns)
    for start in range(0, rows, step):
        matrix.code_rows(model, numbers, start, min(rows, start + step))
        stream.check()


def _estimate(level: int) -> int:
    """Return about what has this level, in 1/2**ESTIMATE_BITS."""
    return (2 << level // 4) * (4, 5, 6, 7)[level % 4]


def _period(is_set: np.ndarray) -> int:
    """Return the distance from 4 on at which elements most often are not zero together, else 2."""
    mean = is_set.mean()
    best, best_period = 2 * mean * mean, 2
    for distance in range(4, min(MOST_PERIOD, is_set.shape[1] // 2) + 1):
        together = (is_set[:, distance:] & is_set[:, :-distance]).mean()
        if together > best:
            best, best_period = together, distance
    return best_period
