"""How many cores this process may use."""

import os
from contextlib import suppress
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup/cpu.max")
"""Microseconds of all cores that a container may use in a period, and the period."""


def usable_cores() -> int:
    """Return how many cores this process may use, which a scheduler or a container may bound.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html, "cpu.max".
    """
    affinity = getattr(os, "sched_getaffinity", None)  # on Linux
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no such file, or "max": nothing bounds it
        quota, period = CGROUP.read_text().split()
        cores = min(cores, max(1, round(int(quota) / int(period))))
    return cores
