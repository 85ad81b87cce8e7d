"""General compression of bytes, where nothing is known about them: stored, deflate or LZMA."""

import lzma
import zlib

from objectives.errors import ContainerError

CODINGS = STORED, DEFLATE, LZMA = range(3)
MOST_SLOW_BYTES = 1 << 20
"""More is not worth LZMA's second per MB."""
LZMA_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 20, "lc": 3, "pb": 0}]


def encode(content: bytes, dictionary: bytes = b"") -> tuple[int, bytes]:
    """Return the shortest coding and what it makes of `content`; deflate knows `dictionary`."""
    level = 9 if len(content) <= MOST_SLOW_BYTES else 6  # 9 is 5 times as slow on sparse weights
    deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zdict=dictionary)
    coded = {STORED: content, DEFLATE: deflate.compress(content) + deflate.flush()}
    if len(content) <= MOST_SLOW_BYTES:
        coded[LZMA] = lzma.compress(content, lzma.FORMAT_RAW, filters=LZMA_FILTERS)
    coding = min(coded, key=lambda coding: len(coded[coding]))
    return coding, coded[coding]


def decode(coding: int, coded: bytes, size: int, dictionary: bytes = b"") -> bytes:
    """Return the `size` bytes that `encode` coded."""
    try:
        if coding == STORED:
            content = coded
        elif coding == DEFLATE:
            inflate = zlib.decompressobj(-zlib.MAX_WBITS, zdict=dictionary)
            content = inflate.decompress(coded, size + 1)  # at most so many bytes
        else:
            expand = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=LZMA_FILTERS)
            content = expand.decompress(coded, size + 1)
    except (zlib.error, lzma.LZMAError) as err:
        raise ContainerError(f"The container is damaged: {err}.") from err
    if len(content) != size:
        raise ContainerError(f"The container is damaged: {len(content)} bytes instead of {size}.")
    return content
