"""Which code made a result: versions of packages, commit of this project."""

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("torch", "pytorch-lightning", "optuna", "onnx", "onnxruntime", "numpy")
"""Their versions can change a result."""


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that can change a result."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


@cache
def commit() -> str:
    """Return this project's commit, "+" behind it where files differ; outside git its version."""
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
        return version("compression-search")
    return described.stdout.strip()
