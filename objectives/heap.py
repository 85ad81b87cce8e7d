"""Keep freed memory for the next step of a training, instead of giving it back each time.

glibc asks the kernel for each large tensor anew and returns it when it is freed, so that a step
meets pages that have never been touched; the small networks' epochs take a tenth longer by it.
Blocks above 32 MB, AlexNet's weights, are still returned: kept too, they made its epoch a fifth
shorter, but its peak 4.3 GB instead of 3.8, as holes between them are not used again at once.
Pages of 2 MB (torch's THP_MEM_ALLOC_ENABLE) fault less often, but each takes as long to clear.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt(3)`."""
NEVER_TRIM, LARGEST_KEPT = -1, 32 * 2**20
TRIM_THRESHOLD = MMAP_THRESHOLD = 128 * 1024
"""glibc's defaults."""


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep freed memory within, and return it to the system at the end; only on Linux's glibc.

    It helps the main thread: the heaps of others end at 64 MB.
    """
    c_library: Any = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(c_library, "mallopt"):
        yield
        return
    c_library.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
    c_library.mallopt(M_TRIM_THRESHOLD, NEVER_TRIM)
    try:
        yield
    finally:
        c_library.mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD)
        c_library.mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD)
        c_library.malloc_trim(0)
