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


def write_container(artifact: Path, coders: Sequence[str] = ()) -> int | None:
    """Write the container of `artifact` beside it and return its size, bytes.

    What was measured on the artifact holds for the container: it is decoded again here, and must
    be the artifact, bit for bit.

    Args:
        artifact: An ONNX file.
        coders: How to code it, as `objectives.container` names it. None is in any way if the file
            is small, by Huffman if it is larger, and not at all if it is large: then None is
            returned.

    Raises:
        MeasurementError: It does not decode to the artifact.
    """
    content = artifact.read_bytes()
    if not coders and len(content) > LARGEST_CODED_UNASKED:
        return None
    file = artifact.with_suffix(ENDING)
    unasked = METHODS if len(content) <= CODED_IN_ANY_WAY else ("raw", "huffman")
    write_atomically(file, encode(content, methods=("raw", *coders) if coders else unasked))
    container = file.read_bytes()
    try:
        same = decode(container) == content
    except ContainerError as err:
        raise MeasurementError(f"{file.name}: {err}") from err
    if not same:
        raise MeasurementError(f"{file.name} does not give {artifact.name} back.")
    return len(container)
