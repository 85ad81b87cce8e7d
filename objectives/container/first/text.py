"""Decoding of the graph that the first version coded: 1 or 2 KB of names and numbers.

Each bit of a byte is predicted from the bits before it in this byte and from the 1, 2, 3, 4 and 6
bytes before; and by what followed where the last 5 bytes occurred before. As the graph of a small
network is too short to learn from, the model has read `graphs.TYPICAL` before. The 1,901 bytes of
an 8-bit LeNet-300-100 become 702 with zlib, 230 with TYPICAL as zlib's dictionary, 188 here.
"""

from functools import cache

from objectives.container.first.mixing import WEIGHT_BITS, Decoder, Mixer
from objectives.container.graphs import TYPICAL
from objectives.errors import ContainerError

MOST_BYTES = 1 << 14
"""Of a text that is coded like this; a byte takes 50 microseconds."""
ORDERS = (1, 2, 3, 4, 6)
MATCH_BYTES = 5
MOST_MATCHED = 15
"""Longer matches are trusted alike."""
RATE = 10


def decode(content: bytes, size: int, read_before: bytes = TYPICAL) -> bytes:
    """Return the text of `size` bytes that was coded after the same."""
    if size > MOST_BYTES:
        raise ContainerError("The container is damaged: its graph is too large for its coding.")
    coder = Decoder(content, 8 * size, 0)
    return _Model(coder, taught=_taught(read_before)).code(bytes(size))


class _Model:
    """Codes bytes with `coder`, as if it had coded before what `taught` did."""

    def __init__(self, coder: Mixer, taught: "_Model | None" = None) -> None:
        self._coder = coder
        inputs = len(ORDERS) + 1
        self._contexts: dict[
            tuple[int, bytes, int], int
        ] = {}  # (order, bytes before, bits before)
        self._weights = [[(2 << WEIGHT_BITS) // 5] * inputs for _ in range(MOST_MATCHED + 1)]
        self._history = bytearray(max(ORDERS))
        self._ends: dict[bytes, int] = {}  # behind the last occurrence of MATCH_BYTES bytes
        self._match = 0  # place in the history of the byte that is expected next
        self._matched = 0  # number of bytes that were as expected
        if taught is not None:
            coder.learn_from(taught._coder)
            self._contexts = taught._contexts.copy()
            self._weights = [weights.copy() for weights in taught._weights]
            self._history = taught._history.copy()
            self._ends = taught._ends.copy()

    def code(self, text: bytes) -> bytes:
        """Return the text; a decoder takes only its length from the argument."""
        start = len(self._history)
        for byte in text:
            self._history.append(self._code_byte(byte))
            self._find_match()
        return bytes(self._history[start:])

    def _code_byte(self, byte: int) -> int:
        history = self._history
        before = [(order, bytes(history[-order:])) for order in ORDERS]
        expected = history[self._match] | 256 if self._matched else 0
        bits = 1  # a 1, then the bits of this byte so far
        for place in reversed(range(8)):
            agrees = expected >> place + 1 == bits
            matched = min(self._matched, MOST_MATCHED) if agrees else 0
            contexts = [self._context(order, last, bits) for order, last in before]
            next_expected = expected >> place & 1 if agrees else 2
            contexts.append(self._context(0, bytes([matched]), next_expected))
            bit = self._coder.code(byte >> place & 1, contexts, self._weights[matched], RATE)
            bits = 2 * bits + bit
        return bits & 255

    def _context(self, order: int, before: bytes, bits: int) -> int:
        key = order, before, bits
        number = self._contexts.get(key)
        if number is None:
            number = self._contexts[key] = len(self._contexts)
            self._coder.add_context()
        return number

    def _find_match(self) -> None:
        history = self._history
        if self._matched and history[self._match] == history[-1]:
            self._match += 1
            self._matched += 1
        else:
            self._matched = 0
        last = bytes(history[-MATCH_BYTES:])
        if not self._matched and last in self._ends:
            self._match = self._ends[last]
            self._matched = 1
        self._ends[last] = len(history)


@cache
def _taught(text: bytes) -> _Model:
    model = _Model(Mixer(0))
    model.code(text)
    return model
