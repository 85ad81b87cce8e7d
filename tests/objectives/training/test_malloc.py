import platform
import subprocess
import sys

import pytest

MEASURE = """
import ctypes
import resource
from pathlib import Path
import torch
from objectives.training import malloc

BYTES = 16 * 16 * 2**20

def a_step():
    [torch.ones(BYTES // 16, dtype=torch.uint8) for _ in range(16)]

def faults_of_one_more():
    for _ in range(8):  # small blocks between may take a place or two at first
        a_step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    a_step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / BYTES

c_library = ctypes.CDLL(None)  # glibc moves its thresholds by itself, as chance has it
c_library.mallopt(malloc.M_TRIM_THRESHOLD, 2**17)
c_library.mallopt(malloc.M_MMAP_THRESHOLD, 2**17)
usual, at_first = faults_of_one_more(), resident()
with malloc.freed_memory_kept():
    kept, within = faults_of_one_more(), resident()
print(usual, kept, within - at_first, resident() - at_first)
"""
"""A script, as pytest's workers run tests in a thread, which has a small heap of its own."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an allocator that has no mallopt")
def test_freed_memory_is_used_again_without_page_faults_and_returned_at_the_end() -> None:
    told = subprocess.run(
        [sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True
    )
    usual, kept, held_within, held_afterwards = map(float, told.stdout.split())
    assert kept < usual / 10
    assert held_within > 0.5
    assert held_afterwards < 0.5
