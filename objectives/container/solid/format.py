"""`encode` and `decode` of containers that begin with OnC2: all of a file in one stream.

What codes is imported when it is needed, as it brings numba.
"""

import hashlib
from typing import TYPE_CHECKING

from objectives.container.payloads import cut, find_payloads
from objectives.errors import ContainerError

if TYPE_CHECKING:
    from objectives.container.solid.stream import Stream
    from objectives.container.solid.weights import Weights

MAGIC = b"OnC2"
DIGEST_BYTES = 4
"""Of the SHA-256; damage stays unnoticed once in 2**32."""
IS_TEXT, SIZE = 3, 2
"""Fields of symbols."""


def encode(onnx_file: bytes, *, may_be_plain: bool, dictionary: bytes | None = None) -> bytes:
    """Return the container of a file; see `objectives.container.format.encode`.

    Args:
        onnx_file: Any bytes.
        may_be_plain: Whether weights may be coded as bytes of which nothing is known.
        dictionary: What the graph's model has read before; None is `TYPICAL`.
    """
    skeleton, found = cut(onnx_file)
    stream = _stream(None, max((payload.size_bytes for payload, _ in found), default=0))
    stream.count(SIZE, len(onnx_file))
    _code_graph(stream, skeleton, len(skeleton), dictionary)
    weights = _weights(stream)
    for payload, content in found:
        weights.encode(content, payload, may_be_plain=may_be_plain)
    body = stream.finish()
    return MAGIC + _digest(onnx_file, body) + body


def decode(container: bytes, max_bytes: int, *, dictionary: bytes | None = None) -> bytes:
    """Return the file of a container; see `objectives.container.format.decode`."""
    start = len(MAGIC) + DIGEST_BYTES
    if len(container) < start:
        raise ContainerError("The container is cut short.")
    stream = _stream(container[start:])
    size = stream.count(SIZE, 0)
    if size > max_bytes:
        raise ContainerError(f"The container's file has {size} bytes, more than {max_bytes}.")
    skeleton = _code_graph(stream, b"", size, dictionary)
    content = bytearray()
    place = 0

    def read(count: int) -> bytes:
        nonlocal place
        if count > len(skeleton) - place:
            raise ContainerError("The container is cut short.")
        part = skeleton[place : place + count]
        place += count
        content.extend(part)
        return part

    weights = _weights(stream)
    for payload in find_payloads(read, size):
        content.extend(weights.decode(payload))
    if place < len(skeleton):
        raise ContainerError("The container is damaged: bytes are left over.")
    stream.expect_end()
    if _digest(content, container[start:]) != container[len(MAGIC) : start]:
        raise ContainerError("The container is damaged: its SHA-256 is another one.")
    return bytes(content)


def _stream(content: bytes | None, largest: int = 0) -> "Stream":
    from objectives.container.solid.stream import Stream

    return Stream(content, largest)


def _weights(stream: "Stream") -> "Weights":
    from objectives.container.solid.weights import Weights

    return Weights(stream)


def _code_graph(stream: "Stream", skeleton: bytes, most: int, dictionary: bytes | None) -> bytes:
    """Code the graph, which has at most so many bytes, and return it."""
    from objectives.container import plain
    from objectives.container.solid import text
    from objectives.container.solid.graphs import TYPICAL
    from objectives.container.solid.weights import code_bytes

    known = TYPICAL if dictionary is None else dictionary
    size = stream.count(SIZE, len(skeleton))
    if size > most:
        raise ContainerError("The container is damaged: its graph is larger than its file.")
    if stream.symbol(IS_TEXT, int(size <= text.MOST_BYTES), 1):
        return text.code_text(stream, skeleton, size, known)
    coding, coded = (0, b"") if stream.is_decoding else plain.encode(skeleton, known)
    return code_bytes(stream, coding, coded, size, known)


def _digest(content: bytes | bytearray, body: bytes) -> bytes:
    """Return what shows damage: to the file, and to bits of the container that mean nothing."""
    digest = hashlib.sha256(content)
    digest.update(body)
    return digest.digest()[:DIGEST_BYTES]
