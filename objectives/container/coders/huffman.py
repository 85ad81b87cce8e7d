"""Deep Compression's coding of a pruned and quantized weight (Han, Mao, Dally 2016).

Three steps make a network small there: pruning (section 2), few shared values (section 3) and
Huffman coding (section 4). What the first two leave is stored like this:

- *Relative index* (section 2, Fig. 2). Of a sparse weight only the elements that are not zero are
  kept, each with the distance from the one before instead of its position. A distance has k bits.
  Where a span exceeds 2**k, a *filler zero* is kept at distance 2**k. With k = 3, as in Fig. 2:

      position    1    4         12     15
      distance    1    3          8      3
      value      3.4  0.9   filler 0    1.7

- *Codebook* (section 3, Fig. 3): an element is the index of its value among the shared values.
- *Huffman coding* (section 4, Fig. 5): distances and indexes are far from uniform, so each of the
  two gets a Huffman code.

We store the number of zeros in between, the distance less 1, so that the first element may be at
position 0; it is called `gap` below. The paper takes 8 bits for convolutions and 5 for dense
layers; here k is what makes the weight smallest. k = 0 leaves no room for zeros in between: then
every element is kept, which is plain Huffman coding and right for a dense weight. Zero stands for
the most frequent element, `Codebook.base`, which may be the zero point of asymmetric quantization.

Source: arXiv:1510.00149.
"""

import numpy as np

from objectives.container.bits import BitReader, BitWriter
from objectives.container.canonical import read_symbols, size_bits, write_symbols
from objectives.container.codebook import Codebook, Indexed
from objectives.container.coder import Coder
from objectives.container.low_bits import pack, unpack
from objectives.container.payloads import Payload
from objectives.errors import ContainerError

MOST_GAP_BITS = 10
GAP_BITS_WIDTH = 4


def encode(weight: Indexed, payload: Payload) -> bytes | None:
    """Return the coded weight; None if that would name more elements than a decoder trusts."""
    gaps = np.diff(weight.places, prepend=-1) - 1
    gap_bits = min(range(MOST_GAP_BITS + 1), key=lambda bits: _size_bits(weight, gaps, bits))
    filler = len(weight.codebook.values)
    entry_gaps, entry_values = with_fillers(gaps, weight.indexes, gap_bits, filler)
    has_fillers = len(entry_gaps) > len(gaps)
    head = BitWriter()
    weight.codebook.write(head, payload)
    head.number(len(entry_gaps))
    head.write(gap_bits, GAP_BITS_WIDTH)
    head.write(has_fillers, 1)
    lanes = write_symbols(head, entry_gaps, 1 << gap_bits)
    lanes += write_symbols(head, entry_values, filler + has_fillers)
    low_bits = pack(weight.low_bits, weight.codebook.low)
    content = head.to_bytes() + lanes + low_bits
    return content if len(entry_gaps) <= _most_entries(content) else None


def decode(content: bytes, payload: Payload, _: int = 0) -> tuple[Indexed, int]:
    """Return the weight that `encode` coded."""
    source = BitReader(content)
    codebook = Codebook.read(source, payload)
    count = source.number()
    if count > min(payload.count, _most_entries(content)):
        raise ContainerError("The container is damaged: a weight has too many elements.")
    gap_bits = source.read(GAP_BITS_WIDTH)
    if gap_bits > MOST_GAP_BITS:
        raise ContainerError("The container is damaged: distances are too long.")
    filler = len(codebook.values)
    has_fillers = source.read(1)
    read_gaps = read_symbols(source, count, 1 << gap_bits)
    read_values = read_symbols(source, count, filler + has_fillers)
    places = np.cumsum(read_gaps(source) + 1) - 1
    indexes = read_values(source)
    if len(places) and places[-1] >= payload.count:
        raise ContainerError("The container is damaged: a distance leads out of its weight.")
    kept = indexes != filler
    places, indexes = places[kept], indexes[kept]
    owners = int(codebook.has_low_bits(indexes).sum())
    low_bits = unpack(source.rest(), owners, codebook.low)
    return Indexed(codebook, places, indexes, low_bits), 0


def with_fillers(
    gaps: np.ndarray, indexes: np.ndarray, gap_bits: int, filler: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return gaps below 2**gap_bits and indexes, with an index `filler` before each longer gap."""
    fillers = gaps >> gap_bits
    ends = np.cumsum(fillers + 1) - 1
    count = int(ends[-1]) + 1 if len(ends) else 0
    entry_gaps = np.full(count, (1 << gap_bits) - 1, np.int64)
    entry_values = np.full(count, filler, np.int64)
    entry_gaps[ends] = gaps & (1 << gap_bits) - 1
    entry_values[ends] = indexes
    return entry_gaps, entry_values


def _size_bits(weight: Indexed, gaps: np.ndarray, gap_bits: int) -> int:
    """Return about how many bits gaps and indexes take with this k."""
    fillers = int((gaps >> gap_bits).sum())
    gap_counts = np.bincount(gaps & (1 << gap_bits) - 1, minlength=1 << gap_bits)
    gap_counts[-1] += fillers
    value_counts = np.append(np.bincount(weight.indexes), fillers)
    code_itself = 2 << gap_bits
    return size_bits(gap_counts) + size_bits(value_counts) + code_itself


def _most_entries(content: bytes) -> int:
    """Return how many elements a decoder is willing to read from `content`.

    An element takes a bit at least, unless all gaps and all values are equal. Then a few bytes
    could name any number, for which a decoder would have to make room.
    """
    return 8 * len(content) + 4096


CODER = Coder(coding=3, most_bytes=8_000_000, encode=encode, decode=decode)
"""It takes 0.6 s for 1 MB and back: minutes for AlexNet's 233 MB."""
