import heapq
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.container.bits import BitReader, BitWriter
from objectives.container.canonical import (
    LANE_SYMBOLS,
    MOST_BITS,
    code_lengths,
    code_words,
    read_symbols,
    size_bits,
    write_symbols,
)
from objectives.errors import ContainerError


def heap_bits(counts: list[int]) -> int:
    """Return the bits of Huffman's code, by his algorithm: merge the two rarest, repeatedly."""
    heap = [count for count in counts if count]
    heapq.heapify(heap)
    bits = 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        bits += merged
        heapq.heappush(heap, merged)
    return bits


def test_a_code_made_by_hand() -> None:
    # Counts a 1, b 1, c 2, d 4. a and b are merged, then c with them, then d: d has 1 bit, c 2.
    lengths = code_lengths(np.array([1, 1, 2, 4]))
    assert lengths.tolist() == [3, 3, 2, 1]
    words = code_words(lengths)
    assert [f"{w:0{n}b}" for w, n in zip(words, lengths, strict=True)] == ["110", "111", "10", "0"]
    head = BitWriter()
    lanes = write_symbols(head, np.array([3, 0, 3, 2, 1, 3, 2, 3]), 4)
    assert lanes == bytes([0b01100101, 0b11010000])  # 0 110 0 10 111 0 10 0


counts_of_symbols = st.lists(st.integers(0, 5000), min_size=1, max_size=200).filter(any)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(counts_of_symbols)
def test_a_code_is_as_short_as_huffmans_and_its_words_fill_the_tree(counts: list[int]) -> None:
    lengths = code_lengths(np.array(counts))
    assert [length > 0 for length in lengths] == [count > 0 for count in counts]
    assert size_bits(np.array(counts)) == heap_bits(counts)
    if np.count_nonzero(counts) > 1:
        assert sum(Fraction(1, 2 ** int(length)) for length in lengths if length) == 1  # Kraft
    words = [f"{w:0{n}b}" for w, n in zip(code_words(lengths), lengths, strict=True) if n]
    assert not any(b.startswith(a) for a, b in zip(sorted(words), sorted(words)[1:], strict=False))


def test_words_of_more_than_15_bits_are_avoided_at_the_least_cost() -> None:
    fibonacci = [1, 1]
    while len(fibonacci) < 20:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    lengths = code_lengths(np.array(fibonacci))  # Huffman's longest word would have 19 bits
    assert lengths.max() == MOST_BITS
    assert sum(Fraction(1, 2 ** int(length)) for length in lengths) == 1
    assert heap_bits(fibonacci) < size_bits(np.array(fibonacci)) < heap_bits(fibonacci) * 1.001


def test_a_code_with_too_many_words_is_refused() -> None:
    with pytest.raises(ContainerError, match="too many Huffman words"):
        code_words(np.array([1, 1, 1]))


@pytest.mark.parametrize("count", [0, 1, LANE_SYMBOLS, LANE_SYMBOLS + 1, 3 * LANE_SYMBOLS - 5])
@pytest.mark.parametrize("alphabet", [1, 2, 300])
def test_symbols_come_back_from_all_lanes(count: int, alphabet: int) -> None:
    symbols = np.random.default_rng(0).geometric(0.1, count).clip(max=alphabet) - 1
    head = BitWriter()
    lanes = write_symbols(head, symbols, alphabet)
    read = read_symbols(BitReader(head.to_bytes()), count, alphabet)
    assert read(BitReader(lanes)).tolist() == symbols.tolist()
