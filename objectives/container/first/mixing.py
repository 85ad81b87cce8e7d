"""Arithmetic coding of bits whose probability several contexts predict together.

A *context* is something known that a bit depends on, e.g. how many neighbours are zero. Each has
an adaptive probability p_i that the bit is 1. The next bit is predicted by logistic mixing,

    p = squash(sum of w_i * stretch(p_i)),   stretch(p) = ln(p / (1 - p)),   squash its inverse

because independent evidence adds up in this domain. The bit is coded in -log2 p bits. Then each
p_i moves towards it, by a share that begins at 2/3 and falls to 1/RATE_LIMIT, and w_i moves by
`(bit - p) * stretch(p_i)`, the gradient of the cost. A decoder knows and predicts the same.

Everything is in integers, so that all machines agree: probabilities in 1/2**16, stretched ones in
1/256, weights in 1/2**20. The tables come from `decimal`, which rounds exactly everywhere.

Source: Mahoney 2005, "Adaptive Weighing of Context Models for Lossless Data Compression"; the
coder without carries, its bounds two 32-bit numbers, is that of his lpaq.
"""

from collections.abc import Sequence
from decimal import Context
from functools import cache
from operator import mul

from objectives.errors import ContainerError

ONE = 1 << 16
"""Probability 1."""
WEIGHT_BITS = 20
RATE_LIMIT = 320
MOST_STRETCH = 2200
_CONTEXT = Context(prec=20)


@cache
def stretch_table() -> list[int]:
    """Return 256 * ln(p / (1 - p)) for p in the middle of each 1/4096."""
    odds = ((2 * step + 1, 8191 - 2 * step) for step in range(4096))
    return [round(_CONTEXT.ln(_CONTEXT.divide(up, down)) * 256) for up, down in odds]


@cache
def squash_table() -> list[int]:
    """Return 2**16 / (1 + exp(-x / 256)) for each x from -MOST_STRETCH on."""
    steps = range(-MOST_STRETCH, MOST_STRETCH + 1)
    odds = (_CONTEXT.exp(_CONTEXT.divide(-step, 256)) for step in steps)
    return [round(_CONTEXT.divide(ONE, _CONTEXT.add(1, inverse))) for inverse in odds]


SHARES = [2 * ONE // (2 * seen + 3) for seen in range(RATE_LIMIT)]
"""By how much a probability moves that has been used `seen` times, in 1/2**16."""


class Mixer:
    """Predicts bits from contexts and learns from them; a subclass codes them too.

    Args:
        contexts: Their number; more can be added.
    """

    def __init__(self, contexts: int) -> None:
        self._probabilities = [ONE // 2] * contexts
        self._seen = [0] * contexts
        self._stretch, self._squash = stretch_table(), squash_table()

    def add_context(self) -> None:
        """Add a context that has seen nothing."""
        self._probabilities.append(ONE // 2)
        self._seen.append(0)

    def learn_from(self, other: "Mixer") -> None:
        """Take over the contexts of another, which keeps its own."""
        self._probabilities = other._probabilities.copy()
        self._seen = other._seen.copy()

    def code(self, bit: int, contexts: Sequence[int], weights: list[int], rate: int) -> int:
        """Code a bit and return it.

        Args:
            bit: What is coded; a decoder ignores it.
            contexts: What predicts the bit, distinct.
            weights: Of the contexts; changed in place.
            rate: Weights move by 2**-rate of the gradient: the higher, the slower.
        """
        probabilities, seen, stretch = self._probabilities, self._seen, self._stretch
        stretched = [stretch[probabilities[context] >> 4] for context in contexts]
        mixed = sum(map(mul, weights, stretched)) >> WEIGHT_BITS
        if mixed > MOST_STRETCH:
            mixed = MOST_STRETCH
        elif mixed < -MOST_STRETCH:
            mixed = -MOST_STRETCH
        predicted = self._squash[mixed + MOST_STRETCH]
        bit = self._code(bit, predicted)
        target = ONE if bit else 0
        error = target - predicted
        half = 1 << rate - 1
        for number, value in enumerate(stretched):
            weights[number] += value * error + half >> rate
        for context in contexts:
            used = seen[context]
            before = probabilities[context]
            probabilities[context] = before + ((target - before) * SHARES[used] >> 16)
            if used < RATE_LIMIT - 1:
                seen[context] = used + 1
        return bit

    def _code(self, bit: int, predicted: int) -> int:
        """Code a bit that is 1 with probability `predicted` / 2**16; return it."""
        return bit


class Encoder(Mixer):
    """Narrows an interval of 32-bit numbers by each bit; bytes that both ends share go out."""

    def __init__(self, contexts: int) -> None:
        super().__init__(contexts)
        self._low, self._high = 0, 0xFFFFFFFF
        self._content = bytearray()

    def _code(self, bit: int, predicted: int) -> int:
        middle = self._low + ((self._high - self._low) * predicted >> 16)
        if bit:
            self._high = middle
        else:
            self._low = middle + 1
        while not (self._low ^ self._high) >> 24:
            self._content.append(self._high >> 24)
            self._low = self._low << 8 & 0xFFFFFFFF
            self._high = self._high << 8 & 0xFFFFFFFF | 0xFF
        return bit

    def to_bytes(self) -> bytes:
        """Return the bytes; zeros may follow them, so those at the end are left out."""
        last = (self._low >> 24) + 1 if self._low else 0  # the least byte inside the interval
        return bytes(self._content + bytes([last])).rstrip(b"\0")


class Decoder(Mixer):
    """Finds the bits again that an `Encoder` coded.

    Args:
        most_bits: More are refused, as reading on behind the end would never stop.
    """

    def __init__(self, content: bytes, most_bits: int, contexts: int) -> None:
        super().__init__(contexts)
        self._low, self._high = 0, 0xFFFFFFFF
        self._content = content
        self._position = 4
        self._at = int.from_bytes(content[:4].ljust(4, b"\0"), "big")
        self.left = most_bits
        """Bits that may still be read."""

    def _code(self, bit: int, predicted: int) -> int:
        self.left -= 1
        if self.left < 0:
            raise ContainerError("The container is damaged: a weight takes too many bits.")
        middle = self._low + ((self._high - self._low) * predicted >> 16)
        bit = int(self._at <= middle)
        if bit:
            self._high = middle
        else:
            self._low = middle + 1
        while not (self._low ^ self._high) >> 24:
            self._low = self._low << 8 & 0xFFFFFFFF
            self._high = self._high << 8 & 0xFFFFFFFF | 0xFF
            following = self._content[self._position : self._position + 1]
            self._at = self._at << 8 & 0xFFFFFFFF | (following[0] if following else 0)
            self._position += 1
        return bit
