"""Which code made a result, and what it took: versions, commit, memory."""

import platform
import resource
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from search.settings.cores import usable_cores

PACKAGES = ("torch", "pytorch-lightning", "optuna", "onnx", "onnxruntime", "numpy")
"""Their versions can change a result."""


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that can change a result."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


@cache
def commit() -> str:
    """Return this project's commit, "+" behind it where files differ; outside git its version.

    A copy that is neither in git nor installed has none.
    """
    here = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=10", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        with suppress(PackageNotFoundError):
            return version("compression-search")
        return "unknown"
    return described.stdout.strip()


def machine() -> str:
    """Return the processor's name, as the operating system tells it, and how many cores it has."""
    told = Path("/proc/cpuinfo")  # platform.processor() is empty on most of Linux
    lines = told.read_text().splitlines() if told.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {usable_cores()} cores"


def peak_memory() -> dict[str, float]:
    """Return the most memory that this process has held so far, MB, on the host and on CUDA."""
    import torch

    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    peak = {"peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6}
    if torch.cuda.is_available():
        peak["peak_gpu_memory_mb"] = torch.cuda.max_memory_allocated() / 1e6
    return peak
