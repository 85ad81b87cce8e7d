"""What a second worker brings: the CNN's full grid on MNIST by one worker and by two.

`python -m benchmarks.workers --data-root data` trains the baseline first, which is in neither
time, then runs the grid with each number of workers, several times in turn, each time into an
empty cache that holds the baseline alone, and prints the median of each and their ratio. Run it on
a machine that does nothing else.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tabulate import tabulate


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("options", nargs="*", help="more options of search.run, after --")
    options = parser.parse_args(argv)
    data = ["--data", options.data, "--data-root", str(options.data_root), *options.options]
    seconds: dict[int, list[float]] = {count: [] for count in options.workers}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_grid(folder, [*data, "--sparsity", "0", "--precision", "32", "--workers", "1"])
        shutil.copytree(folder / "cache", folder / "baseline")
        for _ in range(options.repeats):
            for count, measured in seconds.items():
                shutil.rmtree(folder / "cache")
                shutil.copytree(folder / "baseline", folder / "cache")
                start = time.perf_counter()
                run_grid(folder, [*data, "--workers", str(count)])
                measured.append(time.perf_counter() - start)
    alone = median(seconds[options.workers[0]])
    rows = [
        [count, f"{median(each):.1f}", f"{alone / median(each):.2f}", str(each)]
        for count, each in ((c, [round(s, 1) for s in all_]) for c, all_ in seconds.items())
    ]
    print(tabulate(rows, ["workers", "median s", "times as fast", "each s"], "pipe"))
    return 0


def run_grid(folder: Path, arguments: Sequence[str]) -> None:
    """Run the CNN's grid as a new study `grid` in `folder`."""
    for old in folder.glob("grid*"):
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    where = ["--study", "grid", "--studies-dir", str(folder)]
    command = [sys.executable, "-m", "search.run", "--model", "cnn", *arguments, *where]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
