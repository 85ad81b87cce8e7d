import random

import numpy as np
import pytest

from objectives.container.first.mixing import (
    ONE,
    WEIGHT_BITS,
    Decoder,
    Encoder,
    squash_table,
    stretch_table,
)
from objectives.errors import ContainerError


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
