"""What coders are compared with."""

import numpy as np

from benchmarks.coders import entropy


def test_independent_integers_take_their_entropy() -> None:
    even = np.arange(-128, 128).astype(np.int8).reshape(16, 16)
    skewed = np.array([[0, 0, 0, 1] * 8], np.int8)
    of_skewed = 32 * (0.75 * np.log2(4 / 3) + 0.25 * 2) / 8
    assert entropy([even]).size_bytes == 256
    assert entropy([skewed]).size_bytes == round(of_skewed)
    assert entropy([even, skewed]).size_bytes == round(256 + of_skewed)
