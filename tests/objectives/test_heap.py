import platform
import resource
from pathlib import Path

import pytest
import torch

from objectives.heap import freed_memory_kept

BYTES = 256 * 2**20


def faults_of_one_more_tensor() -> int:
    """Return the page faults of making a large tensor like one that was just freed."""
    torch.ones(BYTES, dtype=torch.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(BYTES, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an allocator that has no mallopt")
def test_freed_memory_is_used_again_without_page_faults() -> None:
    usual = faults_of_one_more_tensor()
    with freed_memory_kept():
        kept = faults_of_one_more_tensor()
    again = faults_of_one_more_tensor()
    assert kept < usual / 10
    assert kept < again / 10


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an allocator that has no mallopt")
def test_memory_returns_to_the_system_at_the_end() -> None:
    before = resident_bytes()
    with freed_memory_kept():
        torch.ones(BYTES, dtype=torch.uint8)
        assert resident_bytes() - before > BYTES / 2
    assert resident_bytes() - before < BYTES / 2
