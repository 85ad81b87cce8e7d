import platform
import subprocess
import sys

import pytest

MEASURE = """
import resource
from pathlib import Path
import torch
from objectives.heap import freed_memory_kept

BYTES = 256 * 2**20

def faults_of_one_more():
    torch.ones(BYTES, dtype=torch.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(BYTES, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / BYTES

usual, at_first = faults_of_one_more(), resident()
with freed_memory_kept():
    kept, within = faults_of_one_more(), resident()
print(usual, kept, faults_of_one_more(), within - at_first, resident() - at_first)
"""
"""A script, as pytest's workers run tests in a thread, which has a small heap of its own."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an allocator that has no mallopt")
def test_freed_memory_is_used_again_without_page_faults_and_returned_at_the_end() -> None:
    told = subprocess.run(
        [sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True
    )
    usual, kept, again, held_within, held_afterwards = map(float, told.stdout.split())
    assert kept < usual / 10
    assert kept < again / 10
    assert held_within > 0.5
    assert held_afterwards < 0.5
