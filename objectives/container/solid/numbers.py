"""Numbers of a head, and elements that have too many values for a codebook: their decisions.

A *symbol* of a few bits is coded from the highest bit on, each predicted by the bits before it,
and by these and the symbol before.

An element is written as sign * 1.mantissa * 2**exponent: a float as it is, an integer by the bits
of its magnitude. The exponent is a symbol; the highest bits of the mantissa are predicted by the
exponent; the rest is as good as random and coded as it is.
"""

import numpy as np

from objectives.container.compiled import compiled
from objectives.container.solid.bits import MOST_SEEN, UNSEEN, State, code_bit, code_number

SYMBOL_BITS = 8
FIELD = (1 << SYMBOL_BITS) * 65
"""Contexts of one kind of symbol: for each node alone, and behind 64 values of the one before."""
TOP_BITS = 3
"""Of a mantissa are predicted."""
SIGN, TOP = 0, 512
"""First contexts behind the fields' that elements have."""
ELEMENT = TOP + 512 * 8 + 8


@compiled
def code_symbol(state: State, field: int, before: int, value: int, width: int) -> int:
    """Code a symbol of `width` bits of this field, below 256, and return it."""
    node = 1
    for place in range(width - 1, -1, -1):
        state.chosen[0] = field * FIELD + node
        state.chosen[1] = field * FIELD + (1 + (before & 63)) * 256 + node
        first = np.int64(state.contexts[state.chosen[0]])
        if first & MOST_SEEN == 0:
            state.contexts[state.chosen[0]] = UNSEEN
        bit = code_bit(state, 2, 2 * field, 2 * field + 1, field, value >> place & 1)
        node = 2 * node + bit
    return node - (1 << width)


@compiled
def code_elements(
    state: State,
    elements: np.ndarray,
    form: np.ndarray,
    field: int,
) -> None:
    """Code elements, or fill them in.

    Args:
        state: With ELEMENT contexts behind those of `field`.
        elements: int64, (3, n): signs, 0 or 1, exponents less the least, and mantissas.
        form: int64: bits of an exponent; bits of a mantissa, or -1 if they are as many as the
            exponent less 1; the least exponent.
        field: The last that there is.
    """
    width, mantissa, least = form[0], form[1], form[2]
    base = (field + 1) * FIELD
    before = 0
    for at in range(elements.shape[1]):
        exponent = code_symbol(state, field, before, elements[1, at], width)
        before = exponent
        elements[1, at] = exponent
        bits = mantissa
        if mantissa < 0:
            bits = max(0, exponent + least - 1)
        sign, value = 0, 0
        if mantissa >= 0 or exponent + least > 0:
            state.chosen[0] = base + SIGN
            state.chosen[1] = base + SIGN + 1 + (exponent & 255)
            sets = 2 * field + 2
            sign = code_bit(state, 2, sets, sets + 1, field, elements[0, at])
        node = 1
        top = min(bits, TOP_BITS)
        for place in range(top):
            state.chosen[0] = base + TOP + node
            state.chosen[1] = base + TOP + 8 + (exponent & 255) * 8 + node
            sets = 2 * field + 4
            bit = elements[2, at] >> (bits - 1 - place) & 1
            node = 2 * node + code_bit(state, 2, sets, sets + 1, field, bit)
        rest = bits - top
        value = (node - (1 << top)) << rest
        value |= code_number(state, elements[2, at] & (1 << rest) - 1, rest)
        elements[0, at], elements[2, at] = sign, value


@compiled
def code_numbers(state: State, numbers: np.ndarray, width: int) -> None:
    """Code int64 numbers of `width` bits of which nothing is known, or fill them in."""
    for at in range(len(numbers)):
        numbers[at] = code_number(state, numbers[at], width)
