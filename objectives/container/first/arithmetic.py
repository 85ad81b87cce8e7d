"""Decoding of a weight that the first version coded, in the spirit of DeepCABAC.

Deep Compression's Huffman codes take every weight to be independent of all others. They are not:
in a pruned LeNet-300-100 a weight is ten times as likely to be left where its left neighbour was,
and a dead neuron has none left. So each element is coded in binary decisions, each predicted from
what was coded before:

- does this *row* have any element that is not zero? (no: a dead neuron)
- is this *element* not zero? Predicted from how many are in its column and the columns around it,
  from how many are in its row so far, and from five neighbours: two before it, three one `period`
  before it.
- its *sign*, from those of neighbours, and of the last one in its row and in its column.
- its *magnitude*, the distance in the codebook from the base: its number of bits in unary, then
  the bits behind the first.

The *period* is the distance at which elements of a row resemble each other: 28 in a dense layer
that reads images of 28x28, the kernel's width in a convolution. A weight is taken as a matrix,
(out, in) or (out, in * height * width).

Here is what frames that: the codebook, the period, the low bits. `matrix` has the decisions and
their contexts, `mixing` the coder.

Source: Wiedemann et al. 2019, arXiv:1907.11900, section III: significance, sign and magnitude as
binary decisions with adaptive contexts. Theirs knows the two weights before; mixing and contexts
in two dimensions are ours.
"""

from bisect import bisect_right

import numpy as np

from objectives.container.bits import BitReader
from objectives.container.codebook import Codebook, Indexed
from objectives.container.first.matrix import CONTEXTS, Matrix
from objectives.container.first.mixing import Decoder
from objectives.container.low_bits import unpack
from objectives.container.payloads import Payload
from objectives.errors import ContainerError

LEAST_COLUMNS = 16
"""A narrower matrix is coded as one row."""
MOST_PERIOD = 512


def decode(content: bytes, payload: Payload, most_bits: int) -> tuple[Indexed, int]:
    """Return the weight, and how many bits were coded."""
    if payload.count > most_bits:
        raise ContainerError("The container is damaged: a weight takes too many bits.")
    source = BitReader(content)
    codebook = Codebook.read(source, payload)
    count = source.number()
    owners = source.number() if codebook.low else 0
    period = source.number()
    if max(count, owners) > payload.count or not 2 <= period <= MOST_PERIOD:
        raise ContainerError("The container is damaged: a weight has too many elements.")
    low_bits = unpack(source.take(-(-owners * codebook.low // 8)), owners, codebook.low)
    coder = Decoder(source.rest(), most_bits, CONTEXTS)
    matrix = np.zeros(_matrix_shape(payload), np.int32)
    Matrix(coder, matrix, period, count).code()
    places = np.flatnonzero(matrix)
    ranks = matrix.reshape(-1)[places]
    indexes = ranks + _below_base(codebook) - (ranks > 0)
    fits = indexes.min(initial=0) >= 0 and indexes.max(initial=-1) < len(codebook.values)
    if len(places) != count or not fits or codebook.has_low_bits(indexes).sum() != owners:
        raise ContainerError("The container is damaged: a weight does not fit its codebook.")
    return Indexed(codebook, places, indexes, low_bits), most_bits - coder.left


def _matrix_shape(payload: Payload) -> tuple[int, int]:
    wide = payload.columns >= LEAST_COLUMNS
    return (payload.rows, payload.columns) if wide else (1, payload.count)


def _below_base(codebook: Codebook) -> int:
    """Return how many values of the codebook are below the base."""
    return bisect_right(codebook.values, codebook.base >> codebook.low)
