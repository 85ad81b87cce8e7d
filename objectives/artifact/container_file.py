"""Code: put an artifact into a container, and see that it comes out again."""

from collections.abc import Sequence
from pathlib import Path

from objectives.container import METHODS, ContainerError, decode, encode
from objectives.errors import MeasurementError
from objectives.files import write_atomically

ENDING = ".onc"

CODED_IN_ANY_WAY = 200_000
"""Bytes: the arithmetic coder takes 14 s for 1 MB and back, Huffman's 0.6 s."""
LARGEST_CODED_UNASKED = 8_000_000
"""Bytes: a container of AlexNet's 233 MB would take minutes that only who asks for it spends."""


def coder_of(size_bytes: int, coders: Sequence[str] = ()) -> str | None:
    """Return the strongest method that codes a file of so many bytes; None if none does.

    Args:
        size_bytes: Of the artifact.
        coders: What was asked for, as `objectives.container` names it. None is arithmetic if the
            file is small, Huffman's if it is larger, and nothing at all if it is large.
    """
    if coders:
        return max(coders, key=METHODS.index)
    if size_bytes > LARGEST_CODED_UNASKED:
        return None
    return "arithmetic" if size_bytes <= CODED_IN_ANY_WAY else "huffman"


def coded(content: bytes, coder: str) -> bytes:
    """Return the container of a file: each weight by the shortest method up to `coder`."""
    return encode(content, methods=METHODS[: METHODS.index(coder) + 1])


def write_container(artifact: Path, coders: Sequence[str] = ()) -> int | None:
    """Write the container of `artifact` beside it and return its size, bytes.

    What was measured on the artifact holds for the container: it is decoded again here, and must
    be the artifact, bit for bit.

    Args:
        artifact: An ONNX file.
        coders: See `coder_of`; where that names none, None is returned.

    Raises:
        MeasurementError: It does not decode to the artifact.
    """
    content = artifact.read_bytes()
    coder = coder_of(len(content), coders)
    if coder is None:
        return None
    file = artifact.with_suffix(ENDING)
    write_atomically(file, coded(content, coder))
    container = file.read_bytes()
    try:
        same = decode(container) == content
    except ContainerError as err:
        raise MeasurementError(f"{file.name}: {err}") from err
    if not same:
        raise MeasurementError(f"{file.name} does not give {artifact.name} back.")
    return len(container)
