import numpy as np

from objectives.container.codebook import to_indexes
from objectives.container.coders import huffman
from objectives.container.elements import to_keys
from objectives.container.payloads import SIGNED, Payload


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
