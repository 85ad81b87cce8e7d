"""Arithmetic coding of a file as a whole: `solid` has it, `format.encode` calls it.

As the coder of single weights it reads what was written before, containers that begin with OnC1:
`first` has that. Both are imported when something is coded, as numba takes a while.
"""

from objectives.container.codebook import Indexed
from objectives.container.coder import Coder
from objectives.container.payloads import Payload


def decode(content: bytes, payload: Payload, most_bits: int) -> tuple[Indexed, int]:
    """Return a weight of a container of before, and how many bits were coded."""
    from objectives.container.first import arithmetic

    return arithmetic.decode(content, payload, most_bits)


def decode_text(content: bytes, size: int, read_before: bytes) -> bytes:
    """Return the graph of a container of before."""
    from objectives.container.first import text

    return text.decode(content, size, read_before)


CODER = Coder(coding=4, most_bytes=64_000_000, decode=decode, decode_text=decode_text)
"""It takes about a second for 1 MB and back, a minute for 64 MB."""
