"""What the distinct values of a weight are: Deep Compression's codebook, stored once per weight.

Four steps turn a weight into small numbers, and back:

1. *Center*: with asymmetric quantization per output channel, a pruned weight is the zero point of
   its row. If that makes more elements equal, each row's most frequent key is subtracted.
2. *Base*: the most frequent key. In a pruned weight it stands for zero, and is never named again:
   only where it is *not* is coded.
3. *Low bits*: of float32 numbers that were not quantized, only sign, exponent and perhaps some
   further bits repeat; the others are stored as they are, `low` per element. But where all
   elements of one value of the codebook have the same low bits (-0.0 is such a value, which
   pruning leaves behind), these are stored once.
4. *Codebook*: the distinct keys without low bits, ascending. An element is its index in there.

    step 1   keys of int8 weights, base 128 (zero)       128 128 131 128 125 128 131
    step 4   codebook 125 131; places 2 4 6, indexes      .   .   1   .   0   .   1
"""

from dataclasses import dataclass

import numpy as np

from objectives.container.bits import BitReader, BitWriter, rice_parameter
from objectives.container.elements import Keys
from objectives.container.payloads import FLOAT, Payload
from objectives.errors import ContainerError

MOST_VALUES = 1 << 13
"""Entries of a codebook; the longest Huffman code has to tell them apart."""
SAMPLE = 1 << 16
"""Elements that `low` is chosen by, spread evenly."""


@dataclass(frozen=True, slots=True)
class Codebook:
    """How the elements of one weight are named."""

    base: int
    low: int
    """Bits of an element that are stored as they are."""
    values: list[int]
    """Distinct keys of the elements that are not the base, without `low` bits; ascending."""
    constants: list[int | None]
    """For each value, the low bits of all its elements; None if they differ."""
    centers: list[int]
    """The key subtracted from each row, or empty."""

    def write(self, out: BitWriter, payload: Payload) -> None:
        """Append all of it: differences between neighbours, with a suitable Rice parameter."""
        out.write(self.base, payload.bits)
        if payload.bits > 8:
            out.write(self.low, 5)
        out.number(len(self.values))
        gaps = [
            after - before - 1
            for before, after in zip([-1, *self.values], self.values, strict=False)
        ]
        _write_rice(out, gaps)
        if self.low:
            for constant in self.constants:
                out.write(constant is not None, 1)
                out.write(constant or 0, self.low if constant is not None else 0)
        out.write(bool(self.centers), 1)
        if self.centers:
            middle = sorted(self.centers)[len(self.centers) // 2]
            out.write(middle, payload.bits)
            _write_rice(out, [_zigzag(center - middle) for center in self.centers])

    @classmethod
    def read(cls, source: BitReader, payload: Payload) -> "Codebook":
        """Return what `write` wrote."""
        base = source.read(payload.bits)
        low = source.read(5) if payload.bits > 8 else 0
        if low >= payload.bits:
            raise ContainerError("The container is damaged: a weight has too many low bits.")
        count = source.number()
        if count > min(MOST_VALUES, payload.count):
            raise ContainerError("The container is damaged: a codebook is too long.")
        gaps = np.array(_read_rice(source, count), np.int64)
        values = (np.cumsum(gaps + 1) - 1).tolist()
        if values and not 0 <= values[-1] < 1 << payload.bits - low:
            raise ContainerError("The container is damaged: a codebook has a value out of range.")
        constants = [source.read(low) if not low or source.read(1) else None for _ in values]
        centers: list[int] = []
        if source.read(1):
            middle = source.read(payload.bits)
            steps = _read_rice(source, payload.rows)
            centers = [middle + (step >> 1 ^ -(step & 1)) for step in steps]
            if not all(0 <= center < 1 << payload.bits for center in centers):
                raise ContainerError("The container is damaged: a row's center is out of range.")
        return cls(base, low, values, constants, centers)

    def has_low_bits(self, indexes: np.ndarray) -> np.ndarray:
        """Return which elements, given as indexes of values, have low bits of their own."""
        is_own = np.array([constant is None for constant in self.constants], bool)
        own: np.ndarray = is_own[indexes]
        return own


@dataclass(frozen=True, slots=True)
class Indexed:
    """A weight by its codebook."""

    codebook: Codebook
    places: np.ndarray
    """Where elements are not the base, ascending: int64, shape (n,)."""
    indexes: np.ndarray
    """Which value of the codebook they are: int64, shape (n,)."""
    low_bits: np.ndarray
    """The lowest bits of those that have their own: uint32."""


def to_indexes(keys: Keys, payload: Payload) -> Indexed:
    """Name the elements of a weight by a codebook that makes them short."""
    centers = _centers(keys, payload)
    keys = _shifted(keys, centers, payload, back=False)
    base = _most_frequent(keys)
    places = np.flatnonzero(keys != base)
    others = keys[places].astype(np.uint32)
    low = _best_low(others[:: max(1, len(others) // SAMPLE)], payload.bits)
    values, indexes = _distinct(others >> low, payload.bits - low)
    while len(values) > MOST_VALUES:
        low += 1
        values, indexes = _distinct(others >> low, payload.bits - low)
    low_bits = others & (1 << low) - 1
    constants = _constants(low_bits, indexes, len(values))
    codebook = Codebook(base, low, values.tolist(), constants, centers)
    return Indexed(codebook, places, indexes, low_bits[codebook.has_low_bits(indexes)])


def from_indexes(weight: Indexed, payload: Payload) -> Keys:
    """Return the keys that `to_indexes` named."""
    codebook = weight.codebook
    dtype = {8: np.uint8, 16: np.uint16, 32: np.uint32}[max(8, payload.bits)]
    keys = np.full(payload.count, codebook.base, dtype)
    starts = [
        value << codebook.low | (constant or 0)
        for value, constant in zip(codebook.values, codebook.constants, strict=True)
    ]
    others = np.array(starts, np.uint32)[weight.indexes]
    others[codebook.has_low_bits(weight.indexes)] |= weight.low_bits
    keys[weight.places] = others
    return _shifted(keys, codebook.centers, payload, back=True)


def _distinct(keys: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct keys of so many bits, ascending, and the number of each key in them."""
    if bits > 16:
        values, numbers = np.unique(keys, return_inverse=True)
        return values, numbers.reshape(-1)
    values = np.flatnonzero(np.bincount(keys, minlength=1 << bits))  # a table saves the sorting
    numbers = np.zeros(1 << bits, np.uint16)
    numbers[values] = np.arange(len(values))
    return values, numbers[keys].astype(np.int64)


def _constants(low_bits: np.ndarray, indexes: np.ndarray, values: int) -> list[int | None]:
    """Return the low bits that all elements of a value share, or None."""
    least = np.full(values, np.iinfo(np.uint32).max, np.uint32)
    most = np.zeros(values, np.uint32)
    np.minimum.at(least, indexes, low_bits)
    np.maximum.at(most, indexes, low_bits)
    pairs = zip(least.tolist(), most.tolist(), strict=True)
    return [low if low == high else None for low, high in pairs]


def _centers(keys: Keys, payload: Payload) -> list[int]:
    """Return the most frequent key of each row if subtracting them pays, else an empty list."""
    if payload.bits > 8 or payload.rows < 2 or payload.kind == FLOAT:
        return []
    rows = keys.reshape(payload.rows, payload.columns)
    counts = [np.bincount(row, minlength=1 << payload.bits) for row in rows]
    gained = sum(int(count.max()) for count in counts) - int(np.sum(counts, axis=0).max())
    if gained <= payload.bits * payload.rows:  # each element gained saves about a bit
        return []
    return [int(count.argmax()) for count in counts]


def _shifted(keys: Keys, centers: list[int], payload: Payload, *, back: bool) -> Keys:
    if not centers:
        return keys
    middle = 1 << payload.bits - 1
    steps = np.array(centers, np.int64)[:, None] - middle
    rows = keys.reshape(payload.rows, payload.columns).astype(np.int16)
    moved = (rows + steps if back else rows - steps) & (1 << payload.bits) - 1
    return moved.astype(keys.dtype).reshape(-1)


def _most_frequent(keys: Keys) -> int:
    if keys.dtype == np.uint32:
        values, counts = np.unique(keys, return_counts=True)
        return int(values[counts.argmax()])
    return int(np.bincount(keys).argmax())


def _best_low(others: np.ndarray, bits: int) -> int:
    """Return the number of low bits that makes codebook, indexes and low bits the shortest."""
    if bits <= 8 or not len(others):
        return 0
    sizes = {}
    for low in range(bits - 1):
        _, counts = np.unique(others >> low, return_counts=True)
        entropy = -(counts * np.log2(counts / len(others))).sum()
        a_value = max(1.0, bits - low - np.log2(len(counts)) + 1.5)  # in the codebook, Rice-coded
        sizes[low] = entropy + low * len(others) + len(counts) * a_value
    return min(sizes, key=sizes.__getitem__)


def _write_rice(out: BitWriter, numbers: list[int]) -> None:
    low = rice_parameter(numbers)
    out.write(low, 5)
    for number in numbers:
        out.rice(number, low)


def _read_rice(source: BitReader, count: int) -> list[int]:
    low = source.read(5)
    return [source.rice(low) for _ in range(count)]


def _zigzag(number: int) -> int:
    """Return 0, 1, 2, 3, 4 for 0, -1, 1, -2, 2."""
    return number << 1 if number >= 0 else ~number << 1 | 1
