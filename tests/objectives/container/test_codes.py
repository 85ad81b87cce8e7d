"""The codes inside a container: Huffman, relative indexes, mixing, the graph's model."""

import heapq
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.container import text
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
from objectives.container.codebook import to_indexes
from objectives.container.coders import huffman
from objectives.container.elements import to_keys
from objectives.container.mixing import (
    ONE,
    WEIGHT_BITS,
    Decoder,
    Encoder,
    squash_table,
    stretch_table,
)
from objectives.container.payloads import SIGNED, Payload
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


def test_deep_compressions_example_of_a_relative_index() -> None:
    """Fig. 2: values at 1, 4 and 15, 3 bits for a distance, so a filler zero 8 behind the 4."""
    weight = np.zeros(16, np.int8)
    weight[[1, 4, 15]] = 34, 9, 17
    payload = Payload(1, 16, 8, SIGNED, 0)
    keys = to_keys(weight.tobytes(), payload)
    assert keys is not None
    named = to_indexes(keys, payload)
    assert named.places.tolist() == [1, 4, 15]
    assert [named.codebook.values[i] - 128 for i in named.indexes] == [34, 9, 17]
    gaps = np.diff(named.places, prepend=-1) - 1
    entries = huffman.with_fillers(gaps, named.indexes, 3, filler=3)
    distances = entries[0] + 1  # position 0 is distance 1 for us, and 0 in the figure
    assert distances.tolist() == [1 + 1, 3, 8, 3]
    assert [*map(int, entries[1])] == [2, 0, 3, 1]  # in the codebook 9, 17, 34; 3 is the filler


@pytest.mark.parametrize("rate", [9, 14])
def test_mixed_bits_come_back_in_about_their_entropy(rate: int) -> None:
    source = random.Random(0)
    bits = [int(source.random() < 0.02) for _ in range(20_000)]
    contexts = [(number % 7, 7 + source.randrange(3)) for number in range(len(bits))]
    encoder, weights = Encoder(10), [1 << WEIGHT_BITS - 1] * 2
    for bit, known in zip(bits, contexts, strict=True):
        encoder.code(bit, known, weights, rate)
    content = encoder.to_bytes()
    decoder, weights = Decoder(content, len(bits), 10), [1 << WEIGHT_BITS - 1] * 2
    assert [decoder.code(0, known, weights, rate) for known in contexts] == bits
    density = sum(bits) / len(bits)
    entropy = -density * np.log2(density) - (1 - density) * np.log2(1 - density)
    assert len(content) < 1.1 * entropy * len(bits) / 8
    with pytest.raises(ContainerError, match="too many bits"):
        decoder.code(0, (0, 7), weights, rate)


def test_the_tables_of_mixing_are_the_functions_they_stand_for() -> None:
    middles = (np.arange(4096) + 0.5) / 4096
    assert np.abs(np.array(stretch_table()) / 256 - np.log(middles / (1 - middles))).max() < 0.002
    squashed = np.array(squash_table())
    inputs = np.arange(len(squashed)) - len(squashed) // 2
    assert np.abs(squashed - ONE / (1 + np.exp(-inputs / 256))).max() <= 0.5001
    assert 0 < squashed.min() < squashed.max() < ONE


@pytest.mark.parametrize("content", [b"", b"\0", b"\xff" * 300, bytes(range(256)) * 3])
def test_any_text_comes_back(content: bytes) -> None:
    assert text.decode(text.encode(content), len(content)) == content
