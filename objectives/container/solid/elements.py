"""Floats and wide integers that are coded each as it is, or each as a step from the one before."""

import numpy as np

from objectives.container.elements import from_keys, to_keys
from objectives.container.payloads import FLOAT, SIGNED, Payload
from objectives.container.solid.numbers import SYMBOL_BITS, code_elements
from objectives.container.solid.stream import FIELDS, Stream
from objectives.errors import ContainerError

WIDTH, LEAST, ZEROS = range(13, 16)
"""Fields of symbols; the last one is followed by the exponents' own."""
MANTISSA_BITS = {16: 10, 32: 23}
CHUNK = 1 << 16


def code_each(stream: Stream, content: bytes, payload: Payload) -> bytes:
    """Code the values of a weight each as it is, and return them."""
    kind = f"<u{payload.bits // 8}"
    if payload.kind == FLOAT:
        parts = np.zeros((3, payload.count), np.int64)
        mantissa = MANTISSA_BITS[payload.bits]
        if content:
            stored = np.frombuffer(content, kind).astype(np.int64)
            parts[0] = stored >> payload.bits - 1
            parts[1] = stored >> mantissa & (1 << payload.bits - 1 - mantissa) - 1
            parts[2] = stored & (1 << mantissa) - 1
        _code_parts(stream, parts, mantissa)
        stored = parts[0] << payload.bits - 1 | parts[1] << mantissa | parts[2]
        floats: bytes = stored.astype(kind).tobytes()
        return floats
    values = np.zeros(payload.count, np.int64)
    if content:
        signed = kind.replace("u", "i") if payload.kind == SIGNED else kind
        values[:] = np.frombuffer(content, signed)
    values = _code_integers(stream, values)
    return (values & (1 << payload.bits) - 1).astype(kind).tobytes()


def code_steps(stream: Stream, content: bytes, payload: Payload) -> bytes:
    """Code values that ascend as the differences of their keys, and return them."""
    steps = np.zeros(payload.count, np.int64)
    if content:
        keys = to_keys(content, payload)
        assert keys is not None
        steps[:] = np.diff(keys.astype(np.int64), prepend=1 << payload.bits - 1)
    steps = _code_integers(stream, steps)
    keys = np.cumsum(steps & (1 << 34) - 1) + (1 << payload.bits - 1) & (1 << payload.bits) - 1
    return from_keys(keys.astype(f"u{payload.bits // 8}"), payload)


def _code_integers(stream: Stream, values: np.ndarray) -> np.ndarray:
    parts = np.zeros((3, len(values)), np.int64)
    magnitudes = np.abs(values)
    parts[0] = values < 0
    parts[1] = np.frexp(magnitudes.astype(np.float64))[1]  # bit lengths, exact below 2**53
    parts[2] = magnitudes - (1 << np.maximum(parts[1] - 1, 0)) * (parts[1] > 0)
    _code_parts(stream, parts, None)
    magnitudes = parts[2] + (1 << np.maximum(parts[1] - 1, 0)) * (parts[1] > 0)
    signed: np.ndarray = np.where(parts[0] > 0, -magnitudes, magnitudes)
    return signed


def _code_parts(stream: Stream, parts: np.ndarray, mantissa: int | None) -> None:
    """Code signs, exponents and mantissas of so many bits; None: one less than the exponent."""
    least = stream.symbol(LEAST, int(parts[1].min()), 8)
    width = stream.symbol(WIDTH, int(parts[1].max() - least).bit_length(), 4)
    if width > SYMBOL_BITS or (mantissa is None and (least + (1 << width) > 1 << 7)):
        raise ContainerError("The container is damaged: an exponent is too large.")
    parts[1] -= least
    zeros = 0
    if mantissa is not None:
        together = int(np.bitwise_or.reduce(parts[2]))
        zeros = min(mantissa, (together & -together).bit_length() - 1) if together else mantissa
        zeros = stream.symbol(ZEROS, zeros, 5)
        if zeros > mantissa:
            raise ContainerError("The container is damaged: a mantissa is too short.")
        parts[2] >>= zeros
    form = np.array([width, -1 if mantissa is None else mantissa - zeros, least], np.int64)
    for start in range(0, parts.shape[1], CHUNK):
        part = np.ascontiguousarray(parts[:, start : start + CHUNK])
        code_elements(stream.numbers, part, form, FIELDS - 1)
        parts[:, start : start + CHUNK] = part
        stream.check()
    parts[1] += least
    if parts[1].max(initial=0) >= (1 << 8 if mantissa is not None else 36):
        raise ContainerError("The container is damaged: an exponent is too large.")
    parts[2] <<= zeros
