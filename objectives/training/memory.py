"""Tell a trial that ran out of memory from a bug."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from objectives.errors import TrialError

_SIGNS = ("can't allocate memory", "out of memory", "Failed to allocate memory", "bad_alloc")
"""What torch's CPU allocator, CUDA and ONNX Runtime say, in errors of no class of their own."""


class OutOfMemoryError(TrialError):
    """There was not enough memory for this trial; another may need less."""


@contextmanager
def told_when_memory_runs_out() -> Iterator[None]:
    """Raise `OutOfMemoryError` from whatever says within the block that memory has run out."""
    try:
        yield
    except MemoryError as err:
        raise OutOfMemoryError(f"Memory ran out: {_first_line(err)}") from err
    except Exception as err:
        if not any(sign in str(err) for sign in _SIGNS):
            raise
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise OutOfMemoryError(f"Memory ran out: {_first_line(err)}") from err


def _first_line(err: BaseException) -> str:
    return next(iter(str(err).splitlines()), type(err).__name__)
