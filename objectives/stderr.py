"""What compiled code says on standard error, which Python's `sys.stderr` does not see."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class Said:
    """What was said, known at the end of the block."""

    text: str = ""


@contextmanager
def captured_stderr() -> Iterator[Said]:
    """Keep what is written to file descriptor 2 in the block; give it back as text."""
    said = Said()
    before = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(before, 2)
            os.close(before)
            file.seek(0)
            said.text = file.read().decode(errors="replace")
