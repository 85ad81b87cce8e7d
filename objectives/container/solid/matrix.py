"""The binary decisions that a matrix of small numbers is coded in, and what predicts each.

Of each row it is coded whether it has any element that is not zero (no: a dead neuron), and then
each element, `found` below where it is known, in decisions of four kinds:

- is it not zero?
- has its magnitude more than 1, 2, 3 ... bits? (unary, up to the bits of the largest there is)
- each bit of the magnitude behind the first,
- its sign, unless there are magnitudes like this on one side only.

What is known is how large the numbers around it are: `near` elements (the two before it in its
row, and those one *period* before, the distance at which elements of a row resemble each other),
its column so far, its row so far, and the columns around. Each of these is an estimate of the
magnitude to come. Estimates are taken in steps of a quarter or half of an octave, alone and in
pairs, as contexts of all decisions but signs. So a dense weight is told by how widely its row and
column scatter, and a sparse one by where anything is left.

A context that is met for the first time begins with the probability of the first context, which is
what all estimates say together; and this one with how often elements of such size are not zero.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from objectives.container.compiled import compiled
from objectives.container.solid.bits import MOST_SEEN, UNSEEN, State, code_bit, is_behind

ESTIMATE_BITS = 12
"""Estimates are in 1/4096."""
FINE, COARSE = 60, 30
"""Steps of a quarter and half of an octave, from 1/1024 on."""
ROW_PRIOR = 20
"""Elements of mean magnitude taken to have been seen before in a row."""

# The first context of each kind, for one node; behind it how many there are.
BY_ALL = 0  # FINE
BY_LINES = BY_ALL + FINE  # COARSE of the column x COARSE of the row
BY_PLACE = BY_LINES + COARSE * COARSE  # COARSE of what is near x COARSE of columns around
BY_PATTERN = BY_PLACE + COARSE * COARSE  # 64 x a quarter of FINE
BY_SMALL = BY_PATTERN + 64 * 15  # 64 x half of COARSE
BY_COLUMN = BY_SMALL + 64 * 15  # FINE x 3 of the row above
BY_NEAR = BY_COLUMN + FINE * 3  # 12 sums x FINE
BY_NODE = BY_NEAR + 12 * FINE
IN_A_NODE = BY_NODE + 1
NODES = 160
"""Decisions on a magnitude that have contexts of their own: 16 of lengths, 8 for each length."""

SIGN_BY_SIZE = NODES * IN_A_NODE  # 32
SIGN_BY_NEIGHBOURS = SIGN_BY_SIZE + 32  # 9 x 4 sizes
SIGN_BY_THREE = SIGN_BY_NEIGHBOURS + 36  # 27 x 4
SIGN_BY_LAST = SIGN_BY_THREE + 108  # 9 x 4
SIGN_BY_SUM = SIGN_BY_LAST + 36  # 27 x 16
SIGN_BY_LINES = SIGN_BY_SUM + 432  # 23 of the column x 23 of the row
ROW = SIGN_BY_LINES + 529  # 1, 3 of the rows before
CONTEXTS = ROW + 4

KINDS = 18
"""Of decisions: 8 of lengths, 8 of bits, signs, and rows."""
SETS_BY_SIZE = 6 * KINDS  # behind those by how many are near
SETS = SETS_BY_SIZE + 15 * KINDS
MOST_DECISIONS = 40
"""For an element, as its magnitude has 16 bits at most."""


class Matrix(NamedTuple):
    """A matrix of numbers, and what is known of its rows and columns so far."""

    levels: np.ndarray
    """`level_table()`."""
    shares: np.ndarray
    """int64, (columns,): 2**20 divided by how many were seen in a row, and ROW_PRIOR."""
    ranks: np.ndarray
    """int32, (rows * columns,): filled in by decoding."""
    columns: int
    period: int
    mean: int
    """Mean magnitude, in 1/4096."""
    spread: int
    """Mean magnitude of those that are not zero, in 1/4096."""
    below: int
    """The largest magnitude of a negative number."""
    above: int
    """The largest positive number."""
    sums: np.ndarray
    """int64, (columns,): of magnitudes in each column, before this row."""
    balances: np.ndarray
    """int64, (columns,): of numbers in each column."""
    last: np.ndarray
    """int64, (columns,): the last sign in each column."""
    rows: np.ndarray
    """int64: how many had elements, and whether the last one had: 0, 1, or 2 if there is none."""


@cache
def level_table() -> np.ndarray:
    """Return 4 log2(x / 2) of each x below 2**16, rounded down, 0 to FINE - 1: uint8."""
    steps = [0] * (1 << 16)
    for number in range(2, 1 << 16):  # 4 log2 in integers: how often 2**(1/4) goes into it
        steps[number] = min(FINE - 1, (number**4).bit_length() - 5)
    return np.array(steps, np.uint8)


@compiled
def _level(levels: np.ndarray, estimate: int) -> int:
    step: Any = np.int64(levels[min(estimate >> 2, 65535)])
    return step  # type: ignore[no-any-return]  # an integer


@compiled
def _is_set(number: int) -> int:
    return 1 if number else 0


@compiled
def _sign(number: int) -> int:
    return 1 if number > 0 else -1 if number < 0 else 0


@compiled
def _signed_level(levels: np.ndarray, number: int, most: int) -> int:
    """Return most for 0, more for positive and less for negative numbers, up to 2 * most."""
    step = min(_level(levels, abs(number) * 256) >> 1, most) if number else 0
    return most + step if number > 0 else most - step


@compiled
def code_rows(state: State, matrix: Matrix, start: int, stop: int) -> None:
    """Code these rows, each from its first element on."""
    ranks, columns, period, mean = matrix.ranks, matrix.columns, matrix.period, matrix.mean
    levels, sums, chosen = matrix.levels, matrix.sums, state.chosen
    bases = np.zeros(8, np.int64)
    prior = min(24, 4 + 600 // (mean + 1))
    for row in range(start, stop):
        if not _code_row_flag(state, matrix, row):
            continue
        live = matrix.rows[0]
        matrix.rows[0] += 1
        of_column = (1 << 20) // (live + prior)
        of_area = (1 << 20) // (6 * live + 2 * prior)
        in_row = balance = last = 0
        for column in range(columns):
            if column & 4095 == 0 and is_behind(state):
                return
            at = row * columns + column
            left = ranks[at - 1] if column >= 1 else 0
            second = ranks[at - 2] if column >= 2 else 0
            up = ranks[at - period] if column >= period else 0
            up_left = ranks[at - period - 1] if column > period else 0
            up_right = ranks[at - period + 1] if column >= period else 0
            far_up = ranks[at - 2 * period] if column >= 2 * period else 0
            above = ranks[at - columns] if row > 0 else 0
            area = 2 * sums[column]
            area += sums[column - 1] if column >= 1 else 0
            area += sums[column + 1] if column + 1 < columns else 0
            area += sums[column - period] if column >= period else 0
            area += sums[column + period] if column + period < columns else 0
            close = 3 * abs(left) + 2 * abs(second) + 3 * abs(up) + abs(up_left) + abs(up_right)
            by_near = close * 410
            by_column = ((sums[column] << 12) + prior * mean) * of_column >> 20
            by_row = ((in_row << 12) + ROW_PRIOR * mean) * matrix.shares[column] >> 20
            by_area = ((area << 12) + 2 * prior * mean) * of_area >> 20
            by_all = (6 * by_near + 6 * by_column + 4 * by_row + 4 * by_area) * 3277 >> 16
            of_all = _level(levels, by_all)
            of_column_fine = _level(levels, by_column)
            of_place = (_level(levels, by_near) >> 1) * COARSE + (_level(levels, by_area) >> 1)
            pattern = _is_set(left) + 2 * _is_set(second) + 4 * _is_set(up)
            pattern += 8 * _is_set(up_left) + 16 * _is_set(up_right) + 32 * _is_set(far_up)
            small = min(abs(left), 3) + 4 * min(abs(up), 3) + 16 * min(abs(above), 3)
            nearest = min(abs(left) + abs(second) + abs(up), 11)
            bases[0] = of_all
            bases[1] = BY_LINES + (of_column_fine >> 1) * COARSE + (_level(levels, by_row) >> 1)
            bases[2] = BY_PLACE + of_place
            bases[3] = BY_PATTERN + pattern * 15 + (of_all >> 2)
            bases[4] = BY_SMALL + small * 15 + (of_column_fine >> 2)
            bases[5] = BY_COLUMN + of_column_fine * 3 + min(abs(above), 2)
            bases[6] = BY_NEAR + nearest * FINE + of_all
            bases[7] = BY_NODE
            near = _is_set(left) + _is_set(second) + _is_set(up)
            near += _is_set(up_left) + _is_set(up_right)
            expected = by_all * 65536 // (by_all + matrix.spread + 1)
            rank: Any = np.int64(ranks[at])
            found = _code_magnitude(state, matrix, bases, near, of_all, expected, abs(rank))
            in_row += found
            if not found:
                ranks[at] = 0
                continue
            if found > matrix.below or found > matrix.above:
                negative = 1 if found > matrix.above else 0
            else:
                size = min(found, 3)
                s_left, s_up, s_above = _sign(left), _sign(up), _sign(above)
                four = 4 + s_left + s_up + _sign(up_left) + _sign(up_right)
                three = (3 * s_left + s_up + 4) * 3 + s_above + 1
                total = _signed_level(levels, 8 * (left + up) + 4 * (up_left + up_right), 13)
                lines = _signed_level(levels, matrix.balances[column], 11) * 23
                chosen[0] = SIGN_BY_SIZE + min(found, 31)
                chosen[1] = SIGN_BY_NEIGHBOURS + four * 4 + size
                chosen[2] = SIGN_BY_THREE + three * 4 + size
                chosen[3] = SIGN_BY_LAST + (4 + 3 * last + matrix.last[column]) * 4 + size
                chosen[4] = SIGN_BY_SUM + total * 16 + min(found, 15)
                chosen[5] = SIGN_BY_LINES + lines + _signed_level(levels, balance, 11)
                kind = KINDS - 2
                sets = kind * 6, SETS_BY_SIZE + kind * 15
                negative = code_bit(state, 6, sets[0], sets[1], kind, 1 if rank < 0 else 0)
            rank = -found if negative else found
            ranks[at] = rank
            balance += rank
            last = matrix.last[column] = -1 if negative else 1
            matrix.balances[column] += rank
        for column in range(columns):
            sums[column] += abs(ranks[row * columns + column])


@compiled
def _code_row_flag(state: State, matrix: Matrix, row: int) -> int:
    """Code whether a row has any element that is not zero, and return it."""
    if matrix.columns == len(matrix.ranks):
        return 1
    ranks, columns, kind = matrix.ranks, matrix.columns, KINDS - 1
    is_live = 0
    for at in range(row * columns, (row + 1) * columns):
        is_live |= _is_set(ranks[at])
    state.chosen[0] = ROW
    state.chosen[1] = ROW + 1 + matrix.rows[1]
    if state.contexts[ROW] & MOST_SEEN == 0:
        state.contexts[ROW] = UNSEEN
    is_live = code_bit(state, 2, kind * 6, SETS_BY_SIZE + kind * 15, kind, is_live)
    matrix.rows[1] = is_live
    return is_live


@compiled
def _code_magnitude(
    state: State,
    matrix: Matrix,
    bases: np.ndarray,
    near: int,
    size: int,
    expected: int,
    magnitude: int,
) -> int:
    """Code a magnitude and return it; `expected` is how probable one above 0 is, in 1/2**16."""
    contexts, chosen = state.contexts, state.chosen
    most, longest = max(matrix.below, matrix.above), 0
    while most >> longest:
        longest += 1
    length, found, place = 0, 0, -1
    if longest == 0:
        return 0
    while True:
        if found == 0 and length == longest:
            found, place = 1, length - 2
        if found and place < 0:
            return found
        if found == 0:
            node, kind = length, min(length, 7)
            bit = 1 if magnitude >> length else 0
        else:
            node, kind = 16 + 8 * min(length, 17) + (found if found < 8 else 0), 8 + min(place, 7)
            bit = magnitude >> place & 1
        for number in range(8):
            chosen[number] = node * IN_A_NODE + bases[number]
        if contexts[chosen[0]] & MOST_SEEN == 0:
            known: Any = np.int64(contexts[chosen[7]])
            begin = known - (known & MOST_SEEN)
            if known & MOST_SEEN == 0:
                begin = max(64, min(65472, expected)) << 16 if node == 0 else UNSEEN
            contexts[chosen[0]] = begin
        sets = kind * 6 + near, SETS_BY_SIZE + kind * 15 + (size >> 2)
        bit = code_bit(state, 8, sets[0], sets[1], kind, bit)
        if found:
            found = 2 * found + bit
            place -= 1
        elif bit:
            length += 1
        elif length == 0:
            return 0
        else:
            found, place = 1, length - 2
