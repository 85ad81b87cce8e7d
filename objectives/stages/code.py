"""Code: put an artifact into a container, and see that it comes out again."""

from collections.abc import Sequence
from pathlib import Path

from objectives.container import ContainerError, decode, encode
from objectives.errors import MeasurementError
from objectives.files import write_atomically

ENDING = ".onc"


def write_container(artifact: Path, coders: Sequence[str]) -> int:
    """Write the container of `artifact` beside it and return its size, bytes.

    What was measured on the artifact holds for the container: it is decoded again here, and must
    be the artifact, bit for bit.

    Raises:
        MeasurementError: It is not.
    """
    content = artifact.read_bytes()
    file = artifact.with_suffix(ENDING)
    write_atomically(file, encode(content, methods=("raw", *coders)))
    container = file.read_bytes()
    try:
        same = decode(container) == content
    except ContainerError as err:
        raise MeasurementError(f"{file.name}: {err}") from err
    if not same:
        raise MeasurementError(f"{file.name} does not give {artifact.name} back.")
    return len(container)
