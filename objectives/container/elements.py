"""The elements of a weight as numbers that sort like the values they stand for: its *keys*.

A key has as many bits as an element. Flipping the sign bit of a signed integer sorts it among the
others (-128 has key 0, 127 has key 255); of a negative float all bits are flipped.
"""

import numpy as np

from objectives.container.payloads import FLOAT, UNSIGNED, Payload

Keys = np.ndarray
"""uint8, uint16 or uint32, shape (elements,)."""


def to_keys(content: bytes, payload: Payload) -> Keys | None:
    """Return the key of each element, or None if bits behind the last one are set."""
    bits = payload.bits
    if bits < 8:
        packed = np.frombuffer(content, np.uint8)
        parts = [packed >> shift & (1 << bits) - 1 for shift in range(0, 8, bits)]
        unpacked = np.stack(parts, axis=1).reshape(-1)
        if unpacked[payload.count :].any():
            return None
        stored = unpacked[: payload.count]
    else:
        stored = np.frombuffer(content, f"<u{bits // 8}")
    return _flipped(stored, payload, negative=0)


def from_keys(keys: Keys, payload: Payload) -> bytes:
    """Return the bytes whose keys are `keys`."""
    bits = payload.bits
    stored = _flipped(keys, payload, negative=1)
    if bits >= 8:
        return stored.astype(f"<u{bits // 8}").tobytes()
    whole = np.zeros(payload.size_bytes * 8 // bits, np.uint8)
    whole[: payload.count] = stored
    packed = np.zeros(payload.size_bytes, np.uint8)
    for number, shift in enumerate(range(0, 8, bits)):
        packed |= whole[number :: 8 // bits] << shift
    return packed.tobytes()


def _flipped(numbers: np.ndarray, payload: Payload, *, negative: int) -> np.ndarray:
    """Flip the sign bit, or all bits of a float whose highest bit is not as in one above 0."""
    if payload.kind == UNSIGNED:
        return numbers
    sign = numbers.dtype.type(1 << payload.bits - 1)
    if payload.kind == FLOAT:
        is_positive = (numbers >= sign) == bool(negative)
        return np.where(is_positive, numbers ^ sign, ~numbers)
    flipped: np.ndarray = numbers ^ sign
    return flipped
