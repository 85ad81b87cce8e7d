"""Canonical Huffman codes: a code is known by the lengths of its words alone.

Words are given out by length, then by symbol, each the one before plus one, with zeros appended
when the length grows. So for four symbols of lengths 2, 1, 3, 3 the words are 10, 0, 110, 111.
No word is longer than 15 bits, so that a table of 2**15 entries decodes any of them in one step.

Many symbols are written in *lanes* of 8192, each lane one bit string behind the other, their sizes
in front: a decoder reads all lanes at once, one symbol of each per step of numpy.
"""

import numpy as np

from objectives.container.bits import BitReader, BitWriter
from objectives.errors import ContainerError

MOST_BITS = 15
LANE_SYMBOLS = 8192


def code_lengths(counts: np.ndarray) -> np.ndarray:
    """Return the word length of each symbol, shape (symbols,): the fewest bits in all.

    A symbol with count 0 has no word, length 0; a single one has a word that is never written.

    Source: package-merge, Larmore and Hirschberg 1990: with words of at most L bits, a word of l
    bits is a set of l coins, worth 1/2 ... 1/2**l, each costing the symbol's count. Wanted are
    coins worth n - 1 that cost the least. The coins of one value are merged in pairs to packages
    of the next; of each list the cheapest are taken. Which those are is counted back from the
    last list.
    """
    used = np.flatnonzero(counts)
    leaves = np.sort(counts[used])
    lists_of_leaves = []  # for each list, from the smallest coins: is the entry a leaf?
    entries = leaves
    is_leaf = np.ones(len(leaves), bool)
    for _ in range(MOST_BITS):
        lists_of_leaves.append(is_leaf)
        pairs = entries[: len(entries) // 2 * 2].reshape(-1, 2).sum(axis=1)
        merged = np.concatenate([leaves, pairs])
        order = np.argsort(merged, kind="stable")
        entries, is_leaf = merged[order], order < len(leaves)
    ascending = np.zeros(len(used), np.int64)  # lengths, the rarest symbol first
    taken = 2 * len(used) - 2 if len(used) > 1 else len(used)
    for is_leaf in reversed(lists_of_leaves):
        taken_leaves = int(is_leaf[:taken].sum())
        ascending[:taken_leaves] += 1
        taken = 2 * (taken - taken_leaves)
    lengths = np.zeros(len(counts), np.int64)
    lengths[used[np.argsort(counts[used], kind="stable")]] = ascending
    return lengths


def code_words(lengths: np.ndarray) -> np.ndarray:
    """Return the word of each symbol as a number of `lengths` bits; raise if they are too many."""
    words = np.zeros(len(lengths), np.int64)
    next_word = 0
    for length in range(1, MOST_BITS + 1):
        symbols = np.flatnonzero(lengths == length)
        next_word <<= 1
        words[symbols] = next_word + np.arange(len(symbols))
        next_word += len(symbols)
        if next_word > 1 << length:
            raise ContainerError("The container is damaged: too many Huffman words.")
    return words


def write_lengths(out: BitWriter, lengths: np.ndarray) -> None:
    """Append a code: the difference of each length from the one before, small ones in few bits."""
    before = MOST_BITS // 2
    for length in lengths.tolist():
        step = (length - before) % (MOST_BITS + 1)  # 1 up, 15 = 1 down
        out.rice(2 * step - 1 if 0 < step <= 8 else 2 * (-step % 16), 0)
        before = length


def read_lengths(source: BitReader, count: int) -> np.ndarray:
    """Return the `count` lengths that `write_lengths` wrote."""
    lengths, before = [], MOST_BITS // 2
    for _ in range(count):
        written = source.rice(0)
        step = (written + 1) // 2 if written % 2 else -(written // 2)
        before = (before + step) % (MOST_BITS + 1)
        lengths.append(before)
    return np.array(lengths, np.int64)


def size_bits(counts: np.ndarray) -> int:
    """Return the bits of symbols that occur so often, without the code itself."""
    if np.count_nonzero(counts) < 2:
        return 0
    return int((counts * code_lengths(counts)).sum())


def write_symbols(out: BitWriter, symbols: np.ndarray, alphabet: int) -> bytes:
    """Append the code of `symbols`, numbers below `alphabet`, and lane sizes; return the lanes."""
    lengths = code_lengths(np.bincount(symbols, minlength=alphabet))
    write_lengths(out, lengths)
    if np.count_nonzero(lengths) < 2:
        return b""
    widths = lengths.astype(np.uint8)[symbols]
    ends = np.cumsum(widths, dtype=np.int64)
    out.number(int(ends[-1]))
    starts = ends[LANE_SYMBOLS - 1 : -1 : LANE_SYMBOLS]
    for size in np.diff(starts, prepend=0).tolist():
        out.number(size)
    words = code_words(lengths).astype(np.uint16)[symbols]
    bits = np.zeros(-(-int(ends[-1]) // 8) * 8, np.uint8)
    for place in range(
        1, int(lengths.max()) + 1
    ):  # the last bit of each word, then the one before
        has = widths >= place
        bits[ends[has] - place] = words[has] >> place - 1 & 1
    return np.packbits(bits).tobytes()


def read_symbols(head: BitReader, count: int, alphabet: int) -> "SymbolReader":
    """Read a code and lane sizes; the result reads `count` symbols from the lanes."""
    return SymbolReader(head, count, alphabet)


class SymbolReader:
    """Reads what `write_symbols` wrote: the head when it is made, the lanes when called."""

    def __init__(self, head: BitReader, count: int, alphabet: int) -> None:
        self._count = count
        self._lengths = read_lengths(head, alphabet)
        self._words = code_words(self._lengths)
        self._starts = [0]
        self._bits = 0
        used = np.flatnonzero(self._lengths)
        if count and not len(used):
            raise ContainerError("The container is damaged: a Huffman code has no words.")
        self._only = int(used[0]) if len(used) == 1 else None
        if len(used) < 2:
            return
        self._bits = head.number()
        for _ in range(LANE_SYMBOLS, count, LANE_SYMBOLS):
            self._starts.append(self._starts[-1] + head.number())
        if self._starts[-1] > self._bits:
            raise ContainerError("The container is damaged: a lane starts behind the last.")

    def __call__(self, source: BitReader) -> np.ndarray:
        """Return the symbols, int64, shape (count,)."""
        lanes = source.take(-(-self._bits // 8))
        if self._only is not None:
            return np.full(self._count, self._only, np.int64)
        symbols = np.zeros((len(self._starts), LANE_SYMBOLS), np.uint16)
        table, widths = self._table()
        padded = np.frombuffer(lanes + bytes(4), np.uint8).astype(np.uint32)
        windows = padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]  # 24 bits from each byte on
        at = np.array(self._starts)
        last = self._count - LANE_SYMBOLS * (len(at) - 1)
        for step in range(min(self._count, LANE_SYMBOLS)):
            if step == last:
                at = at[:-1]  # the last lane is shorter
            window = windows[at >> 3] >> (24 - MOST_BITS - (at & 7)).astype(np.uint32)
            window &= (1 << MOST_BITS) - 1
            symbols[: len(at), step] = table[window]
            at = np.minimum(at + widths[window], self._bits)
        return symbols.reshape(-1)[: self._count].astype(np.int64)

    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        """Return symbol and width of the word that each 15 bits begin with."""
        table = np.zeros(1 << MOST_BITS, np.uint16)
        widths = np.zeros(1 << MOST_BITS, np.int64)
        order = np.lexsort((self._words, self._lengths))
        order = order[self._lengths[order] > 0]
        sizes = 1 << MOST_BITS - self._lengths[order]
        filled = int(sizes.sum())
        table[:filled] = np.repeat(order, sizes)
        widths[:filled] = np.repeat(self._lengths[order], sizes)
        return table, widths
