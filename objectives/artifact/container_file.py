"""Write the container of an artifact, and see that the artifact comes out again."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from objectives.container.coders import coders
from objectives.container.format import METHODS, decode, encode
from objectives.errors import ContainerError, MeasurementError
from objectives.files import write_atomically

ENDING = ".onc"


class Container(NamedTuple):
    """What was written."""

    coder: str
    """The strongest that it was coded by."""
    size_bytes: int


def coder_of(size_bytes: int, asked: Sequence[str] = ()) -> str | None:
    """Return the strongest coder of a file of so many bytes; None if none is fast enough.

    Args:
        size_bytes: Of the artifact.
        asked: The coders that may be used, however long they take; all that are fast if none is.
    """
    fast = (name for name, coder in coders().items() if size_bytes <= coder.most_bytes)
    return max(asked or fast, key=METHODS.index, default=None)


def coded(content: bytes, coder: str) -> bytes:
    """Return the container of a file: each weight by the shortest method up to `coder`."""
    return encode(content, methods=METHODS[: METHODS.index(coder) + 1])


def write_container(artifact: Path, asked: Sequence[str] = ()) -> Container | None:
    """Write the container of `artifact` beside it; None if no coder is fast enough.

    What was measured on the artifact holds for the container: it is decoded again here, and must
    be the artifact, bit for bit.

    Args:
        artifact: An ONNX file.
        asked: See `coder_of`.

    Raises:
        MeasurementError: It does not decode to the artifact.
    """
    content = artifact.read_bytes()
    coder = coder_of(len(content), asked)
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
    return Container(coder, len(container))
