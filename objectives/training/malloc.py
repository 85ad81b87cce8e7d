"""Keep freed memory for the next step of a training, instead of giving it back each time.

glibc asks the kernel for each large tensor anew and returns it when it is freed, so that a step
meets pages that have never been touched: an epoch of AlexNet takes 1.5 to 2.6 times as long by it,
of the CNN 1.02 (`python -m benchmarks.weighed malloc`). Pages of 2 MB (torch's
THP_MEM_ALLOC_ENABLE) fault less often, but each takes as long to clear.
"""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt(3)`."""
NEVER_TRIM, LARGEST_KEPT = -1, 2**30
TRIM_THRESHOLD, MMAP_THRESHOLD = 64 * 2**20, 32 * 2**20
"""Those that glibc comes to by itself where large blocks are used. Set to its first ones, 128 kB,
they would stay there, and a plain loop of the CNN takes twice as long."""


def _c_library() -> Any:  # noqa: ANN401 - it has whatever functions there are
    """Return the C library if it is glibc, else None."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "mallopt") else None


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep freed memory within; only on Linux's glibc.

    It helps the main thread: the heaps of others end at 64 MB.
    """
    library = _c_library()
    if library is None:
        yield
        return
    library.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
    library.mallopt(M_TRIM_THRESHOLD, NEVER_TRIM)
    try:
        yield
    finally:
        library.mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD)
        library.mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD)
        library.malloc_trim(0)


def return_freed_memory() -> None:
    """Return to the system what was freed, and what only cycles of objects hold.

    A trainer is a cycle that holds the optimizer's two copies of all weights, and an exported
    program one that holds the network.
    """
    gc.collect()
    library = _c_library()
    if library is not None:
        library.malloc_trim(0)
