"""Print what does not hold of the figures that are shown; exit code 1 if anything does not."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import benchmarks.figures
import search.results.paper
from benchmarks.figures.blocks import check_blocks, write_blocks
from benchmarks.figures.files import MNIST, PAPER_SHARE, check_files, keep_file
from benchmarks.figures.prose import check_facts, check_prose
from benchmarks.figures.records import RECORD_MAKERS
from benchmarks.figures.retrain import check_one_epoch, check_retrained, record_one_epoch
from benchmarks.figures.rows import check_rows
from benchmarks.figures.tables import MAKERS, STUDIES

ALL_MAKERS = MAKERS | RECORD_MAKERS

PAPER = Path(search.results.paper.__file__).with_name("published")
"""The folder of the tables that were published."""


def documents() -> dict[Path, list[Path]]:
    """Return the files that show figures, each with the folders that have them."""
    folders = sorted(folder.parent for folder in STUDIES.glob("*/README.md"))
    root = STUDIES.parent
    return dict.fromkeys((root / "README.md", root / "docs" / "results.md"), folders) | {
        folder / "README.md": [folder] for folder in folders
    }


def faults(data_root: Path | None = None) -> list[str]:
    """Return what does not hold, a line each; files are run where MNIST is."""
    found = []
    for document, folders in documents().items():
        found += check_blocks(document, ALL_MAKERS)
        found += check_prose(document, [*folders, PAPER])
    for folder in sorted({folder for folders in documents().values() for folder in folders}):
        found += check_files(folder, data_root)
        for file in sorted(folder.glob("*.csv")):
            found += check_facts(file) if file.name == "facts.csv" else check_rows(file)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Check, or write; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.figures",
        description=benchmarks.figures.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--write", action="store_true", help="make the tables anew")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="with data, to run files")
    parser.add_argument("--retrain", action="store_true", help="train rows anew (minutes)")
    parser.add_argument(
        "--record", action="store_true", help="keep today's row of one epoch for this processor"
    )
    parser.add_argument(
        "--keep",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="put ONNX files as containers into --folder, beside what they measure",
    )
    parser.add_argument("--folder", type=Path, help="of committed results")
    parser.add_argument("--data", default=MNIST, help="that kept files are of: in the data root")
    parser.add_argument("--held-out", default=PAPER_SHARE, help="share for validation")
    options = parser.parse_args(argv)
    if options.keep:
        root = options.data_root or Path("data")
        for file in options.keep:
            keep_file(file, options.folder, root, options.data, options.held_out)
    if options.record:
        record_one_epoch()
    if options.write:
        for document in documents():
            write_blocks(document, ALL_MAKERS)
    found = faults(options.data_root)
    if options.retrain:
        found += check_one_epoch() + check_retrained(options.data_root or Path("data"))
    print("\n".join(found) or "Each figure is one that was measured.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
