"""`encode` and `decode`: an ONNX file as a container, and back, bit for bit.

Coded arithmetically, all of a file is one stream: `solid` has that. By other methods a container
begins with OnC1, and each weight has a stream of its own; so have weights that were coded
arithmetically before.
"""

import hashlib
from collections.abc import Sequence

from objectives.container import plain
from objectives.container.bits import BitReader, BitWriter
from objectives.container.codebook import from_indexes, to_indexes
from objectives.container.coder import Coder
from objectives.container.coders import coders
from objectives.container.elements import from_keys, to_keys
from objectives.container.graphs import TYPICAL
from objectives.container.payloads import Payload, cut, find_payloads
from objectives.container.solid import format as solid
from objectives.errors import ContainerError

MAGIC = b"OnC1"
"""The last byte is the version: it changes with anything that a decoder has to know."""
DIGEST_BYTES = 8
"""Of the SHA-256; damage stays unnoticed once in 2**64."""
METHODS = ("raw", *coders())
ARITHMETIC = "arithmetic"
"""What is known of any bytes, and the coders of weights."""
CODING_BITS = 3
MOST_DECISIONS = 1 << 22
"""Bits in all that `first` decodes: they take 2 microseconds each, 8 seconds in all."""
MAX_BYTES = 1 << 30


def encode(
    onnx_file: bytes, methods: Sequence[str] = METHODS, *, dictionary: bytes | None = None
) -> bytes:
    """Return the container of a file, the same for the same file; weights by the shortest method.

    Args:
        onnx_file: What the container gives back; any bytes, but only ONNX's weights are found.
        methods: What may be used: "raw" (stored, deflate or LZMA) and what is in
            `objectives.container.coders`. Where none can code a weight, raw does.
        dictionary: What coder and decoder know of graphs beforehand. Without it a container tells
            what it takes if nothing is shared; to decode it, the same must be given.

    Raises:
        ValueError: A method is unknown.
    """
    if unknown := set(methods) - set(METHODS):
        raise ValueError(f"Unknown method {min(unknown)!r}. Known: {', '.join(METHODS)}.")
    if ARITHMETIC in methods:
        return solid.encode(onnx_file, may_be_plain="raw" in methods, dictionary=dictionary)
    skeleton, weights = cut(onnx_file)
    streams = [_encode_weight(content, payload, methods) for payload, content in weights]
    head = BitWriter()
    head.number(len(onnx_file))
    head.number(len(skeleton))
    graph = plain.encode(skeleton, TYPICAL if dictionary is None else dictionary)
    body = head.to_bytes() + b"".join(_stream(*stream) for stream in [graph, *streams])
    return MAGIC + _digest(onnx_file, body) + body


def decode(
    container: bytes, max_bytes: int = MAX_BYTES, *, dictionary: bytes | None = None
) -> bytes:
    """Return the file of a container.

    Args:
        container: From `encode`, or anything.
        max_bytes: A container of a larger file is refused. The memory taken is at most a small
            multiple of it and of the container.
        dictionary: As it was given to `encode`.

    Raises:
        ContainerError: These bytes are no container, are damaged or stand for too large a file.
    """
    if container[: len(MAGIC)] == solid.MAGIC:
        return solid.decode(container, max_bytes, dictionary=dictionary)
    source = BitReader(container)
    if container[: len(MAGIC)] != MAGIC:
        known = container[: len(MAGIC) - 1] == MAGIC[:-1]
        what = "a container of another version" if known else "no container"
        raise ContainerError(f"This is {what}: it must begin with {solid.MAGIC!r}.")
    source.take(len(MAGIC))
    digest = source.take(DIGEST_BYTES)
    size, skeleton_size = source.number(), source.number()
    source.align()
    if size > max_bytes:
        raise ContainerError(f"The container's file has {size} bytes, more than {max_bytes}.")
    if skeleton_size > size:
        raise ContainerError("The container is damaged: its graph is larger than its file.")
    shared = TYPICAL if dictionary is None else dictionary
    skeleton = BitReader(_decode_graph(*_read_stream(source), skeleton_size, shared))
    content = bytearray()

    def read(count: int) -> bytes:
        part = skeleton.take(count)
        content.extend(part)
        return part

    decisions = MOST_DECISIONS
    for payload in find_payloads(read, size):
        weight, used = _decode_weight(*_read_stream(source), payload, decisions)
        decisions -= used
        content.extend(weight)
    if skeleton.rest() or source.rest():
        raise ContainerError("The container is damaged: bytes are left over.")
    if _digest(content, container[len(MAGIC) + DIGEST_BYTES :]) != digest:
        raise ContainerError("The container is damaged: its SHA-256 is another one.")
    return bytes(content)


def _digest(content: bytes | bytearray, body: bytes) -> bytes:
    """Return what shows damage: to the file, and to bits of the container that mean nothing."""
    digest = hashlib.sha256(content)
    digest.update(body)
    return digest.digest()[:DIGEST_BYTES]


def _encode_weight(content: bytes, payload: Payload, methods: Sequence[str]) -> tuple[int, bytes]:
    """Return coding and stream of the shortest method."""
    found: list[tuple[int, bytes]] = []
    allowed = [coder for name, coder in coders().items() if name in methods]
    keys = to_keys(content, payload) if allowed else None
    if keys is not None:
        weight = to_indexes(keys, payload)
        for coder in allowed:
            coded = coder.encode(weight, payload) if coder.encode else None
            if coded is not None:
                found.append((coder.coding, coded))
    if "raw" in methods or not found:
        found.append(plain.encode(content))
    return min(found, key=lambda stream: len(stream[1]))


def _decode_weight(
    coding: int, coded: bytes, payload: Payload, decisions: int
) -> tuple[bytes, int]:
    if coding in plain.CODINGS:
        return plain.decode(coding, coded, payload.size_bytes), 0
    weight, used = _coder(coding).decode(coded, payload, decisions)
    return from_keys(from_indexes(weight, payload), payload), used


def _decode_graph(coding: int, coded: bytes, size: int, dictionary: bytes) -> bytes:
    if coding in plain.CODINGS:
        return plain.decode(coding, coded, size, dictionary)
    decode_text = _coder(coding).decode_text
    if decode_text is None:
        raise ContainerError(f"The container is damaged: coding {coding} is none of graphs.")
    return decode_text(coded, size, dictionary)


def _coder(coding: int) -> Coder:
    for coder in coders().values():
        if coder.coding == coding:
            return coder
    raise ContainerError(f"The container is damaged: it has no coding {coding}.")


def _stream(coding: int, coded: bytes) -> bytes:
    head = BitWriter()
    head.write(coding, CODING_BITS)
    head.number(len(coded))
    return head.to_bytes() + coded


def _read_stream(source: BitReader) -> tuple[int, bytes]:
    coding = source.read(CODING_BITS)
    return coding, source.take(source.number())
