"""One arithmetic code for a whole file: bits whose probability several contexts predict together.

A *context* is something known that a bit depends on, e.g. how many neighbours are zero. Each has
an adaptive probability p_i that the bit is 1. The next bit is predicted by logistic mixing,

    p = squash(sum of w_i * t_i * stretch(p_i)),   stretch(p) = ln(p / (1 - p))

because independent evidence adds up in this domain; t_i is how far a context is trusted that has
been used so often. Weights w_i are the mean of two sets, each chosen by what else is known. Then a
*refinement* looks up what became of predictions like this one, and half of it is taken. The bit is
coded in -log2 p bits. Each p_i moves towards it, by a share that begins at 1/2 and falls to
1/1000, and w_i moves by `(bit - p) * t_i * stretch(p_i)`, the gradient of the cost: fast at first,
slower where a set has been used often. A decoder knows and predicts the same.

Everything is in integers, so that all machines agree: probabilities in 1/2**22, stretched ones in
1/256, weights in 1/2**16. The tables come from `decimal`, which rounds exactly everywhere.

Source: Mahoney 2005, "Adaptive Weighing of Context Models for Lossless Data Compression"; his
lpaq has the coder without carries, its bounds two 32-bit numbers, and the refinement ("APM").
"""

from decimal import Context
from functools import cache
from typing import NamedTuple

import numpy as np

from objectives.container.compiled import compiled

ONE = 1 << 16
"""Probability 1 of a prediction."""
UNSEEN = 1 << 31
"""A context that has seen nothing: 1/2 in the upper 22 bits, its uses in the lower 10."""
MOST_SEEN = 1023
MOST_STRETCH = 2200
WIDTH = 16
"""Places of a set of weights: for each context, and one for what is always true."""
STEPS = 25
"""Predictions for which a refinement knows what became of them."""
_CONTEXT = Context(prec=20)

IS_DECODING, LOW, HIGH, AT, POSITION, END = range(6)
"""Places of `State.registers`: the interval, the number inside it and the next byte."""


class Tables(NamedTuple):
    """Functions as tables of int64."""

    stretch: np.ndarray
    """256 * ln(p / (1 - p)) for p in the middle of each 1/4096."""
    squash: np.ndarray
    """2**16 / (1 + exp(-x / 256)) for each x from -MOST_STRETCH on."""
    share: np.ndarray
    """By how much a probability moves that has been used so often, in 1/2**16."""
    trust: np.ndarray
    """How much it counts, in 1/2**8."""
    pace: np.ndarray
    """How fast a set of weights moves that has been used so often."""


@cache
def tables() -> Tables:
    """Return the tables, which belong to the format."""
    odds = ((2 * step + 1, 8191 - 2 * step) for step in range(4096))
    stretch = [round(_CONTEXT.ln(_CONTEXT.divide(up, down)) * 256) for up, down in odds]
    steps = range(-MOST_STRETCH, MOST_STRETCH + 1)
    inverses = (_CONTEXT.exp(_CONTEXT.divide(-step, 256)) for step in steps)
    squash = [round(_CONTEXT.divide(ONE, _CONTEXT.add(1, inverse))) for inverse in inverses]
    uses = range(MOST_SEEN + 1)
    share = [ONE // (used + 2) for used in uses]
    trust = [512 * used // (2 * used + 3) for used in uses]
    pace = [32 + 16 * 20 * 30 // (used + 30) for used in uses]
    return Tables(*(np.array(each, np.int64) for each in (stretch, squash, share, trust, pace)))


class State(NamedTuple):
    """The coder and one model; all arrays are changed in place."""

    tables: Tables
    registers: np.ndarray
    """int64, see IS_DECODING and so on."""
    content: np.ndarray
    """uint8: the bytes that are written, or read."""
    contexts: np.ndarray
    """uint32, each as `UNSEEN` says."""
    weights: np.ndarray
    """int64, (sets * WIDTH,)."""
    used: np.ndarray
    """int64, (sets,): how often each set was used."""
    refined: np.ndarray
    """int64, (refinements * STEPS,): probabilities in 1/2**24."""
    chosen: np.ndarray
    """int64, (WIDTH,): which contexts predict the next bit."""
    inputs: np.ndarray
    """int64, (WIDTH,): what they say."""


def new_registers(content: bytes | None) -> np.ndarray:
    """Return the registers of a coder that decodes `content`, or encodes if that is None."""
    registers = np.zeros(6, np.int64)
    registers[HIGH] = 0xFFFFFFFF
    if content is not None:
        registers[IS_DECODING], registers[END] = 1, len(content)
        registers[AT] = int.from_bytes(content[:4].ljust(4, b"\0"), "big")
        registers[POSITION] = 4
    return registers


def new_state(
    registers: np.ndarray,
    content: np.ndarray,
    table: Tables,
    *,
    contexts: int,
    sets: int,
    kinds: int,
    weight: int,
) -> State:
    """Return a model that has seen nothing.

    Args:
        registers: Of the coder, which several models may share.
        content: What it writes or reads.
        table: From `tables`.
        contexts: Their number.
        sets: Of weights.
        kinds: Of refinements.
        weight: Of each context at first, in 1/2**16.
    """
    middles = np.clip(192 * np.arange(STEPS) - 2304, -MOST_STRETCH, MOST_STRETCH)
    return State(
        table,
        registers,
        content,
        np.full(contexts, UNSEEN, np.uint32),
        np.full(sets * WIDTH, weight, np.int64),
        np.zeros(sets, np.int64),
        np.tile(table.squash[middles + MOST_STRETCH] << 8, kinds),
        np.zeros(WIDTH, np.int64),
        np.zeros(WIDTH, np.int64),
    )


@compiled
def is_behind(state: State) -> bool:
    """Return whether more was read than there is, as the first 4 bytes are read at once."""
    r = state.registers
    return bool(r[IS_DECODING] != 0 and r[POSITION] > r[END] + 4)


@compiled
def code_plain(state: State, predicted: int, bit: int) -> int:
    """Code a bit that is 1 with probability `predicted` / 2**16 and return it."""
    r = state.registers
    middle = r[LOW] + ((r[HIGH] - r[LOW]) * predicted >> 16)
    if r[IS_DECODING]:
        bit = 1 if r[AT] <= middle else 0
    if bit:
        r[HIGH] = middle
    else:
        r[LOW] = middle + 1
    while (r[LOW] ^ r[HIGH]) >> 24 == 0:
        if r[IS_DECODING]:
            following = np.int64(state.content[r[POSITION]]) if r[POSITION] < r[END] else 0
            r[AT] = (r[AT] << 8 & 0xFFFFFFFF) | following
        elif r[POSITION] < len(state.content):  # `Stream` sees whether there was no room
            state.content[r[POSITION]] = r[HIGH] >> 24
        r[POSITION] += 1
        r[LOW] = r[LOW] << 8 & 0xFFFFFFFF
        r[HIGH] = (r[HIGH] << 8 & 0xFFFFFFFF) | 0xFF
    return bit


@compiled
def code_number(state: State, value: int, width: int) -> int:
    """Code a number below 2**width of which nothing is known, and return it."""
    found = 0
    for place in range(width - 1, -1, -1):
        found = 2 * found + code_plain(state, ONE >> 1, value >> place & 1)
    return found


@compiled
def code_bit(state: State, count: int, first: int, second: int, kind: int, bit: int) -> int:
    """Code a bit by the first `count` contexts chosen, and return it.

    Args:
        state: Where `chosen[0]` gives the probability that contexts begin with.
        count: Below WIDTH.
        first: The one set of weights.
        second: The other, never the same.
        kind: The refinement.
        bit: What is coded; a decoder ignores it.
    """
    table, contexts, weights = state.tables, state.contexts, state.weights
    chosen, inputs, used, refined = state.chosen, state.inputs, state.used, state.refined
    start = np.int64(contexts[chosen[0]]) & 0xFFFFFC00
    a, b = first * WIDTH, second * WIDTH
    mixed = 0
    for number in range(count):
        value = np.int64(contexts[chosen[number]])
        seen = value & MOST_SEEN
        if seen == 0:
            value = start
            contexts[chosen[number]] = start
        told = table.stretch[value >> 20] * table.trust[seen] >> 8
        inputs[number] = told
        mixed += (weights[a + number] + weights[b + number]) * told
    inputs[count] = 256
    mixed += (weights[a + count] + weights[b + count]) * 256
    mixed = min(MOST_STRETCH, max(-MOST_STRETCH, mixed >> 17))
    predicted = table.squash[mixed + MOST_STRETCH]
    step = (mixed + 2304) // 192
    above = mixed + 2304 - 192 * step  # the refinement lies between two steps
    place = kind * STEPS + step
    between = (refined[place] * (192 - above) + refined[place + 1] * above) // (192 << 8)
    bit = code_plain(state, min(ONE - 2, max(2, predicted + between >> 1)), bit)
    error = (ONE if bit else 0) - predicted
    a_error, b_error = error * table.pace[used[first]], error * table.pace[used[second]]
    for number in range(count + 1):
        weights[a + number] += inputs[number] * a_error + (1 << 21) >> 22
        weights[b + number] += inputs[number] * b_error + (1 << 21) >> 22
    used[first] = min(MOST_SEEN, used[first] + 1)
    used[second] = min(MOST_SEEN, used[second] + 1)
    goal = (1 << 22) - 1 if bit else 0
    for number in range(count):
        value = np.int64(contexts[chosen[number]])
        seen = value & MOST_SEEN
        before = value >> 10
        before += (goal - before) * table.share[seen] >> 16
        contexts[chosen[number]] = before << 10 | min(MOST_SEEN, seen + 1)
    near = place if above < 96 else place + 1
    refined[near] += ((ONE << 8 if bit else 0) - refined[near]) >> 6
    return bit
