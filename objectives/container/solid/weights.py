"""The values of a weight in a stream, in the form that takes the fewest bits.

- RANKS: integers of 8 bits or less, as distances from the most frequent one.
- CODEBOOK: as distances in a codebook (codebook.py).
- ELEMENTS: floats and wide integers, each as it is.
- STEPS: the differences of floats that ascend, as those of a codebook do.
- SCALED: floats that are those of an earlier weight times a number, as the scales of biases are:
  of a weight's scales and that of its input.
- PLAIN: as bytes of which nothing is known (plain.py).
"""

from bisect import bisect_right

import numpy as np

from objectives.container import plain
from objectives.container.bits import BitReader, BitWriter
from objectives.container.codebook import Codebook, Indexed, from_indexes, to_indexes
from objectives.container.elements import from_keys, to_keys
from objectives.container.payloads import FLOAT, UNSIGNED, Payload
from objectives.container.solid import elements
from objectives.container.solid.matrices import code_matrix, new_model
from objectives.container.solid.numbers import code_numbers
from objectives.container.solid.stream import Stream
from objectives.errors import ContainerError

RANKS, CODEBOOK, ELEMENTS, STEPS, SCALED, PLAIN = range(6)
FORM, BASE, LIMIT, GAPS, SOURCE, BYTES, CODING = range(4, 11)
"""Fields of symbols; of forms there are three, by the width of an element."""
MOST_TRIED = 1 << 16
"""Elements or bytes; of a larger weight only the likeliest form is tried."""
MANY = 20
"""So large a weight has a codebook if one element in so many is the same."""


class Weights:
    """Codes one weight after the other, which learn from each other."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._model = new_model(stream)
        self._floats: list[np.ndarray] = []
        """Those coded so far, which later ones may be multiples of."""

    def encode(self, content: bytes, payload: Payload, *, may_be_plain: bool) -> None:
        """Code the values of a weight."""
        stream, best, start = self._stream, None, self._stream.snapshot()
        forms = self._forms(content, payload)
        if may_be_plain and len(content) <= MOST_TRIED:
            forms = [*forms, PLAIN]
        sizes = {}
        for form in forms if len(forms) > 1 else []:
            before = stream.bits()
            if self._code(form, content, payload) is not None:
                sizes[form] = stream.bits() - before
            stream.restore(start)
        best = min(sizes, key=sizes.__getitem__) if sizes else forms[0]
        self._code(best, content, payload)
        self._remember(content, payload)

    def decode(self, payload: Payload) -> bytes:
        """Return the values of a weight."""
        content = self._code(None, b"", payload)
        assert content is not None
        self._remember(content, payload)
        return content

    def _remember(self, content: bytes, payload: Payload) -> None:
        if payload.kind == FLOAT and payload.bits == 32 and payload.rows == 1:
            self._floats.append(np.frombuffer(content, "<f4"))

    def _forms(self, content: bytes, payload: Payload) -> list[int]:
        if payload.kind == FLOAT and payload.bits == 32 and self._multiple(content) is not None:
            return [SCALED]
        keys = to_keys(content, payload)
        if keys is None:
            return [PLAIN]
        if payload.bits <= 8:
            return [RANKS, CODEBOOK] if payload.count <= MOST_TRIED else [RANKS]
        if payload.count > MOST_TRIED:
            sample = np.unique(keys[:: payload.count // MOST_TRIED], return_counts=True)[1]
            return [CODEBOOK if sample.max() * MANY > sample.sum() else ELEMENTS]
        ascends = payload.kind == FLOAT and bool((np.diff(keys.astype(np.int64)) >= 0).all())
        return [CODEBOOK, ELEMENTS, STEPS] if ascends else [CODEBOOK, ELEMENTS]

    def _code(self, form: int | None, content: bytes, payload: Payload) -> bytes | None:
        """Code a weight in a form; a decoder finds which."""
        stream = self._stream
        width = 0 if payload.bits < 8 else 1 if payload.bits == 8 else 2
        form = stream.symbol((FORM, 11, 12)[width], form or 0, 3)
        if form == PLAIN:
            return self._code_plain(content, payload)
        if form == SCALED and payload.kind == FLOAT and payload.bits == 32:
            return self._code_scaled(content, payload)
        if form == ELEMENTS and payload.bits > 8:
            return elements.code_each(stream, content, payload)
        if form == STEPS and payload.bits > 8:
            return elements.code_steps(stream, content, payload)
        if form == RANKS and payload.bits <= 8:
            return self._code_ranks(content, payload)
        if form == CODEBOOK:
            return self._code_indexed(content, payload)
        raise ContainerError("The container is damaged: it has no such form of weights.")

    def _code_plain(self, content: bytes, payload: Payload) -> bytes:
        coding, coded = (0, b"") if self._stream.is_decoding else plain.encode(content)
        return code_bytes(self._stream, coding, coded, payload.size_bytes)

    def _multiple(self, content: bytes) -> tuple[int, int] | None:
        """Return which earlier weight this one is a multiple of, and the bits of the factor."""
        values = np.frombuffer(content, "<f4")
        for number, source in enumerate(self._floats):
            if source.shape != values.shape or not np.isfinite(values).all():
                continue
            at = int(np.abs(source).argmax())
            if not np.isfinite(source).all() or source[at] == 0 or values[at] == 0:
                continue
            with np.errstate(over="ignore", under="ignore"):
                near = int((values[at] / source[at]).view(np.uint32))
                for bits in range(near - 2, near + 3):
                    factor = np.array([bits & 0xFFFFFFFF], "<u4").view("<f4")
                    if (source * factor).tobytes() == content:
                        return number, bits
        return None

    def _code_scaled(self, content: bytes, payload: Payload) -> bytes:
        stream = self._stream
        number, bits = (0, 0) if stream.is_decoding else self._multiple(content) or (0, 0)
        number = stream.count(SOURCE, number)
        factor = np.array([stream.plain(bits, 32)], "<u4").view("<f4")
        if number >= len(self._floats) or len(self._floats[number]) != payload.count:
            raise ContainerError("The container is damaged: a weight is a multiple of none.")
        with np.errstate(all="ignore"):
            scaled: bytes = (self._floats[number] * factor).astype("<f4").tobytes()
        return scaled

    def _code_ranks(self, content: bytes, payload: Payload) -> bytes:
        stream = self._stream
        middle = 0 if payload.kind == UNSIGNED else 1 << payload.bits - 1
        keys, counts = None, np.zeros(1 << payload.bits, np.int64)
        if not stream.is_decoding:
            keys = to_keys(content, payload)
            assert keys is not None
            counts = np.bincount(keys, minlength=1 << payload.bits)
        base = stream.symbol(BASE, int(counts.argmax()) ^ middle if keys is not None else 0, 8)
        base ^= middle
        used = np.flatnonzero(counts) if keys is not None else np.array([base])
        below = stream.count(LIMIT, int(base - used[0]))
        above = stream.count(LIMIT, int(used[-1] - base))
        if below > base or base + above >= 1 << payload.bits:
            raise ContainerError("The container is damaged: a weight has numbers out of range.")
        names = np.arange(base - below, base + above + 1)
        if stream.symbol(GAPS, int(4 * len(used) < 3 * len(names)), 1):
            present = [
                name == base or stream.symbol(GAPS, int(counts[name] > 0), 1) > 0 for name in names
            ]
            names = names[np.array(present)]
        below = int((names < base).sum())
        above = len(names) - 1 - below
        ranks = np.zeros(payload.count, np.int32)
        if keys is not None:
            ranks[:] = (np.searchsorted(names, np.arange(len(counts))) - below)[keys]
        code_matrix(stream, self._model, payload, ranks, (below, above))
        np.clip(ranks, -below, above, out=ranks)  # beyond, if damaged
        ranks += below
        return from_keys(names.astype(np.uint8)[ranks], payload)

    def _code_indexed(self, content: bytes, payload: Payload) -> bytes | None:
        stream = self._stream
        ranks = np.zeros(payload.count, np.int32)
        weight = None
        if not stream.is_decoding:
            keys = to_keys(content, payload)
            assert keys is not None
            weight = to_indexes(keys, payload)
            weight.codebook.write(_Writer(stream, payload), payload)
            codebook = weight.codebook
        else:
            codebook = Codebook.read(_Reader(stream, payload), payload)
        below = bisect_right(codebook.values, codebook.base >> codebook.low)
        above = len(codebook.values) - below
        if weight is not None:
            distances = weight.indexes - below
            ranks[weight.places] = distances + (distances >= 0)
        code_matrix(stream, self._model, payload, ranks, (below, above))
        places = np.flatnonzero(ranks)
        indexes = ranks[places].astype(np.int64) + below - (ranks[places] > 0)
        if len(places) and not 0 <= indexes.min() <= indexes.max() < len(codebook.values):
            raise ContainerError("The container is damaged: a weight does not fit its codebook.")
        owners = int(codebook.has_low_bits(indexes).sum())
        low_bits = np.zeros(owners, np.int64)
        if weight is not None:
            low_bits[:] = weight.low_bits
        for start in range(0, owners, MOST_TRIED):
            code_numbers(stream.numbers, low_bits[start : start + MOST_TRIED], codebook.low)
            stream.check()
        named = Indexed(codebook, places, indexes, low_bits.astype(np.uint32))
        return from_keys(from_indexes(named, payload), payload)


def code_bytes(
    stream: Stream, coding: int, coded: bytes, size: int, dictionary: bytes = b""
) -> bytes:
    """Code what `plain` made of `size` bytes, and return them."""
    coding = stream.symbol(CODING, coding, 2)
    length = size if coding == plain.STORED else stream.count(BYTES, len(coded))
    if coding not in plain.CODINGS or length > size + 1024:
        raise ContainerError("The container is damaged: bytes are coded in no known way.")
    numbers = np.zeros(length, np.int64)
    if coded:
        numbers[:] = np.frombuffer(coded, np.uint8)
    for start in range(0, length, MOST_TRIED):
        code_numbers(stream.numbers, numbers[start : start + MOST_TRIED], 8)
        stream.check()
    return plain.decode(coding, numbers.astype(np.uint8).tobytes(), size, dictionary)


class _Writer(BitWriter):
    """A stream as the `BitWriter` of a codebook."""

    def __init__(self, stream: Stream, payload: Payload) -> None:
        super().__init__()
        self._stream, self._payload = stream, payload

    def write(self, value: int, width: int) -> None:
        is_key = width == self._payload.bits and width > 1  # a base, which mostly stands for 0
        if not is_key or not self._stream.symbol(GAPS, int(value == 1 << width - 1), 1):
            self._stream.plain(value, width)

    def number(self, value: int) -> None:
        self._stream.count(LIMIT, value)

    def rice(self, value: int, low: int) -> None:
        for _ in range(value >> low):
            self._stream.plain(1, 1)
            self._stream.check()
        self._stream.plain(0, 1)
        self._stream.plain(value & (1 << low) - 1, low)


class _Reader(BitReader):
    """A stream as the `BitReader` of a codebook."""

    def __init__(self, stream: Stream, payload: Payload) -> None:
        super().__init__(b"")
        self._stream, self._payload = stream, payload

    def read(self, width: int) -> int:
        self._stream.check()
        if width == self._payload.bits and width > 1 and self._stream.symbol(GAPS, 0, 1):
            return 1 << width - 1
        return self._stream.plain(0, width)

    def number(self) -> int:
        return self._stream.count(LIMIT, 0)
