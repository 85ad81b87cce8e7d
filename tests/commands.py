"""A command that a test starts, and watches while it works."""

import os
import subprocess
import sys
from pathlib import Path


def in_folder(folder: Path, *arguments: str) -> list[str]:
    return [*arguments, "--studies-dir", str(folder)]


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "search.run", *in_folder(folder, *arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


def wait_for_line(process: subprocess.Popen[str], beginning: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(beginning):
            return
    raise AssertionError(f"No line began with {beginning!r}.")
