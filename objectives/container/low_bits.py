"""Numbers of the same few bits, one behind the other."""

import numpy as np

from objectives.errors import ContainerError

CHUNK = 1 << 16
"""Numbers at a time, as a bit takes a byte in between; a multiple of 8 fills whole bytes."""


def pack(numbers: np.ndarray, width: int) -> bytes:
    """Return the uint32 `numbers` in `width` bits each, filled up with zeros to a whole byte."""
    if not width:
        return b""
    places = np.arange(width, dtype=np.uint32)[::-1]
    parts = []
    for start in range(0, len(numbers), CHUNK):
        bits = numbers[start : start + CHUNK, None] >> places & 1
        parts.append(np.packbits(bits.astype(np.uint8)).tobytes())
    return b"".join(parts)


def unpack(content: bytes, count: int, width: int) -> np.ndarray:
    """Return the numbers that `pack` packed: uint32, shape (count,)."""
    if len(content) != -(-count * width // 8):
        raise ContainerError("The container is damaged: low bits are missing or left over.")
    numbers = np.zeros(count, np.uint32)
    packed = np.frombuffer(content, np.uint8)
    for start in range(0, count, CHUNK):
        chunk = numbers[start : start + CHUNK]
        first = start * width // 8
        bits = np.unpackbits(packed[first : first + CHUNK * width // 8])
        for column in bits[: len(chunk) * width].reshape(len(chunk), width).T:
            chunk <<= 1
            chunk |= column
    return numbers
