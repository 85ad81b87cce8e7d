"""The tests marked `gpu`, in a process of their own."""

import subprocess
import sys

from benchmarks.cuda.sitting import Sitting


def run(sitting: Sitting) -> None:
    """Run them, as far as time allows; what they print is in `tests.log`.

    Raises:
        RuntimeError: One failed.
    """
    wanted = "not gpu" if sitting.smoke else "gpu"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", wanted]
    if sitting.smoke:
        command += ["-k", "training"]
    file = sitting.out / "tests.log"
    with file.open("w") as log:
        ended = subprocess.run(
            [*command, "tests/gpu"],
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=max(30, sitting.seconds_left),
            check=False,
        )
    last = (file.read_text().splitlines() or [""])[-1]
    sitting.row("tests", exit_code=ended.returncode, told=last)
    if ended.returncode != 0:
        raise RuntimeError(f"pytest ended with {ended.returncode}: {last}")
