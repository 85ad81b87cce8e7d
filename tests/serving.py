"""A dashboard that is served while a test looks at it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def serving(study: str, folder: Path) -> Iterator[str]:
    """Serve a dashboard within the block; gives its address."""
    command = [sys.executable, "-m", "search.dashboard", "--study", study, "--port", "0"]
    process = subprocess.Popen(
        [*command, "--studies-dir", str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process.stdout.readline().split()[0]
    process.terminate()
    process.wait()
    process.stdout.close()
