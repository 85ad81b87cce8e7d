"""What 8 bits cost the examples: `python -m benchmarks.examples [NAME ...]`.

Each example of docs/examples is searched by the command at its top, for `--epochs` of each
training and a quarter of that while quantized; shown are test scores, and by how much the 8-bit
file is better than the float file of the same sparsity: percentage points of shares, else percent.
"""

import argparse
import contextlib
import io
import shlex
import tempfile
from pathlib import Path

from tabulate import tabulate

from search import run
from search.results.scored import Scored, told
from search.storage.study import load_study

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"


def command(name: str) -> list[str]:
    """Return the options of the command that the example shows."""
    text = (EXAMPLES / f"{name}.py").read_text().split('"""')[1].replace("\\\n", " ")
    line = next(line for line in text.splitlines() if "search.run" in line)
    options = shlex.split(line.partition("search.run")[2])
    return [each.replace("docs/examples", str(EXAMPLES)) for each in options]


def row(name: str, epochs: int) -> list[str]:
    """Search an example and return what is shown of it."""
    with tempfile.TemporaryDirectory() as folder:
        how = ["--epochs", str(epochs), "--qat-epochs", str(max(1, epochs // 4))]
        where = ["--study", "s", "--studies-dir", folder, "--workers", "1"]
        with contextlib.redirect_stdout(io.StringIO()):
            run.main([*command(name), *how, *where])
        trials = load_study("s", f"sqlite:///{folder}/s.db").trials
    scored = {
        (trial.params["sparsity"], trial.params["precision"]): Scored(trial.user_attrs)
        for trial in trials
    }
    cells = [name, scored[0.0, 32].name]
    for sparsity in (0.0, 0.8):
        before, after = scored[sparsity, 32], scored[sparsity, 8]
        gained = after.worth("test") - before.worth("test")
        if not before.is_share:
            gained *= 100 / abs(before.value("test"))
        cells += [told(each.value("test"), is_share=each.is_share) for each in (before, after)]
        cells.append(f"{gained:+.2f}")
    return cells


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = sorted(file.stem for file in EXAMPLES.glob("*.py"))
    parser.add_argument("names", nargs="*", default=known, metavar="NAME")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    rows = [row(name, options.epochs) for name in options.names]
    headers = ["example", "score", "32 bits", "8 bits", "better by"]
    headers += ["80 % zeros, 32 bits", "80 % zeros, 8 bits", "better by "]
    print(tabulate(rows, headers, "pipe", disable_numparse=True))


if __name__ == "__main__":
    main()
