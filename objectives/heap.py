"""Keep freed memory for the next step of a training, instead of giving it back each time.

glibc asks the kernel for each large tensor anew and returns it when it is freed, so that every
step of a large network meets pages that have never been touched: 400,000 page faults in an epoch
of 512 images of AlexNet at input 67, a quarter of its time. Pages of 2 MB (torch's
THP_MEM_ALLOC_ENABLE) fault less often, but each takes as long to clear.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of glibc's `mallopt(3)`."""
NEVER_TRIM, NEVER_MAP = -1, 0
TRIM_THRESHOLD, MAPPED_BLOCKS = 128 * 1024, 65_536
"""glibc's defaults."""


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep freed memory within, and return it to the system at the end; only on Linux's glibc.

    It helps the main thread: the heaps of others end at 64 MB, and larger blocks are mapped.
    """
    c_library: Any = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(c_library, "mallopt"):
        yield
        return
    c_library.mallopt(M_MMAP_MAX, NEVER_MAP)
    c_library.mallopt(M_TRIM_THRESHOLD, NEVER_TRIM)
    try:
        yield
    finally:
        c_library.mallopt(M_MMAP_MAX, MAPPED_BLOCKS)
        c_library.mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD)
        c_library.malloc_trim(0)
