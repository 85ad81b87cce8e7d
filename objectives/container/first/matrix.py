"""The binary decisions that a matrix of small numbers is coded in, and what predicts each.

`arithmetic` says why. Encoder and decoder run the same function: `Matrix.code` asks a `Mixer` for
each decision, which codes the one given or finds it.
"""

from bisect import bisect_right

import numpy as np

from objectives.container.first.mixing import ONE, WEIGHT_BITS, Mixer

LEVELS = [19, 27, 38, 54, 76, 108, 152, 215, 304, 431, 609, 861, 1218, 1722, 2436]
"""256 * 2**((k - 8.5) / 2) for k = 1 ... 15: half octaves around a density equal to the mean."""
FLAG_RATE, SIGN_RATE, MAGNITUDE_RATE = 14, 11, 11
"""How slowly the weights of contexts move: 2**-rate of the gradient."""
COLUMN_PRIOR, AREA_PRIOR, ROW_PRIOR = 12, 24, 20
"""Elements of mean density taken to have been seen before in a column, around it and in a row."""

# The first context of each kind; behind it how many there are.
ROW = 0  # 2: was the row before empty?
BY_DENSITY = 2  # 16 of the column x 16 of the row
BY_AREA = BY_DENSITY + 256  # 6 counts of neighbours x 16 of columns around
BY_PATTERN = BY_AREA + 96  # 32
BY_COLUMN = BY_PATTERN + 32  # 16 of the column x 2 of the row above
SIGN_BY_SUM = BY_COLUMN + 32  # 9
SIGN_BY_TWO = SIGN_BY_SUM + 9  # 9
SIGN_BY_LAST = SIGN_BY_TWO + 9  # 9
NODES = 16 * 9
MAGNITUDE_BY_SIGN = SIGN_BY_LAST + 9  # 2 x NODES
MAGNITUDE_BY_AREA = MAGNITUDE_BY_SIGN + 2 * NODES  # 5 x NODES
CONTEXTS = MAGNITUDE_BY_AREA + 5 * NODES


class Matrix:
    """A matrix of ranks that is coded, or filled in by decoding.

    Args:
        coder: Codes each decision.
        ranks: int32, shape (rows, columns); zeros when decoding, filled in place.
        period: Distance at which elements of a row resemble each other, at least 2.
        count: Number of elements that are not 0.
    """

    def __init__(self, coder: Mixer, ranks: np.ndarray, period: int, count: int) -> None:
        self._coder = coder
        self._ranks = ranks
        self._period = period
        self._mean = max(1, count * ONE // max(1, ranks.size))
        columns = ranks.shape[1]
        self._column_counts = np.zeros(columns, np.int64)
        self._live_rows = 0
        self._last_in_column = [0] * columns  # signs
        self._above = [0] * columns
        self._row_weights = [1 << WEIGHT_BITS]
        self._flag_weights = [[(1 << WEIGHT_BITS) // 4] * 4 for _ in range(6)]
        self._sign_weights = [(1 << WEIGHT_BITS) // 3] * 3
        self._magnitude_weights = [(1 << WEIGHT_BITS) // 2] * 2

    def code(self) -> None:
        """Code all rows."""
        before = 1
        for row in self._ranks:
            before = self._coder.code(int(row.any()), [ROW + before], self._row_weights, 16)
            if before:
                row[:] = self._code_row(row.tolist())
                self._above = (row != 0).tolist()
                self._column_counts += self._above
                self._live_rows += 1

    def _code_row(self, given: list[int]) -> list[int]:
        period, code = self._period, self._coder.code
        pad = period + 1
        ranks = [0] * pad + given
        flags = [0] * (pad + len(given))
        by_column = self._levels(self._column_counts, self._live_rows, COLUMN_PRIOR)
        by_area = self._levels(self._around(), 6 * self._live_rows, AREA_PRIOR)
        above, weights = self._above, self._flag_weights
        found, row_level, last_sign = 0, self._row_level(0, 0), 0
        for column, rank in enumerate(given):
            at = column + pad
            a, b = flags[at - 1], flags[at - 2]
            c, d, e = flags[at - period - 1 : at - period + 2]
            near = a + b + c + d + e
            if not column & 15:
                row_level = self._row_level(found, column)
            level = by_column[column]
            is_set = code(
                rank != 0,
                (
                    BY_DENSITY + 16 * level + row_level,
                    BY_AREA + 16 * near + by_area[column],
                    BY_PATTERN + (a + 2 * b + 4 * c + 8 * d + 16 * e if near else 0),
                    BY_COLUMN + 2 * level + above[column],
                ),
                weights[near],
                FLAG_RATE,
            )
            if is_set:
                flags[at] = 1
                around = ranks[at - 1], *ranks[at - period - 1 : at - period + 2]
                rank = self._code_rank(rank, around, last_sign, self._last_in_column[column])
                ranks[at] = rank
                last_sign = self._last_in_column[column] = _sign(rank)
                found += 1
                row_level = self._row_level(found, column)
            else:
                ranks[at] = 0
        return ranks[pad:]

    def _code_rank(self, rank: int, around: tuple[int, ...], in_row: int, in_column: int) -> int:
        left, _, up, _ = around
        signs = _sign(left), _sign(up)
        total = sum(map(_sign, around))
        is_negative = self._coder.code(
            rank < 0,
            (
                SIGN_BY_SUM + 4 + total,
                SIGN_BY_TWO + 4 + 3 * signs[0] + signs[1],
                SIGN_BY_LAST + 4 + 3 * in_row + in_column,
            ),
            self._sign_weights,
            SIGN_RATE,
        )
        area = min(sum(map(abs, around)).bit_length(), 4)
        magnitude = self._code_magnitude(abs(rank), is_negative, area)
        return -magnitude if is_negative else magnitude

    def _code_magnitude(self, magnitude: int, is_negative: int, area: int) -> int:
        by_sign = MAGNITUDE_BY_SIGN + NODES * is_negative
        by_area = MAGNITUDE_BY_AREA + NODES * area
        code, weights = self._coder.code, self._magnitude_weights
        length = 1
        while length < 15:
            longer = magnitude.bit_length() > length
            if not code(longer, (by_sign + length, by_area + length), weights, MAGNITUDE_RATE):
                break
            length += 1
        found = 1
        for place in reversed(range(length - 1)):
            node = 16 + 8 * length + (found if found < 8 else 0)  # after 3 bits, one for all
            contexts = by_sign + node, by_area + node
            found = 2 * found + code(magnitude >> place & 1, contexts, weights, MAGNITUDE_RATE)
        return found

    def _around(self) -> np.ndarray:
        """Return counts of columns: twice its own, and those left, right and a period away."""
        counts, period = self._column_counts, self._period
        total = 2 * counts
        for distance in (1, period):
            if distance < len(counts):
                total[distance:] += counts[:-distance]
                total[:-distance] += counts[distance:]
        return total

    def _levels(self, counts: np.ndarray, of: int, prior: int) -> list[int]:
        """Return how dense columns are: level 8 of 16 like the mean, 2 levels for a factor 2."""
        ratio = (counts * ONE + prior * self._mean) // (of + prior) * 256 // self._mean
        levels: list[int] = np.searchsorted(LEVELS, ratio, side="right").tolist()
        return levels

    def _row_level(self, count: int, of: int) -> int:
        ratio = (count * ONE + ROW_PRIOR * self._mean) // (of + ROW_PRIOR) * 256 // self._mean
        return bisect_right(LEVELS, ratio)


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)
