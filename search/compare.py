"""Compare ONNX files: `python -m search.compare A.onnx B.onnx --data NAME`.

Each is measured on the same data in the same way, whoever made it: accuracy, bytes, latency of one
input on one thread. A file may have seen the validation part if it was trained elsewhere.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from search.settings.parsing import OneLineParser, add_data_root, positive_int
from search.settings.terminal import command

if TYPE_CHECKING:
    from objectives.artifact.measure import FileMeasurement

HEADERS = (
    "file",
    "validation %",
    "test %",
    "bytes",
    "after gzip",
    "latency ms",
    "± (IQR)",
)


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="python -m search.compare", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="an ONNX file")
    parser.add_argument(
        "--data", required=True, metavar="NAME", help="what they answer, as search.run takes it"
    )
    add_data_root(parser)
    parser.add_argument(
        "--input-size",
        type=positive_int,
        metavar="PIXELS",
        help="height and width that images are resized to (default: as they are)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return the exit code, 2 if a file or the data cannot be used."""
    options = _parser().parse_args(argv)
    return command(lambda: _compare(options))


def _compare(options: argparse.Namespace) -> int:
    from models.data_source import DataOptions
    from models.resolve import resolve_data
    from objectives.artifact.measure import measure_any
    from objectives.errors import MeasurementError

    chosen = DataOptions(root=options.data_root, input_size=options.input_size)
    data = resolve_data(options.data, chosen)
    data.setup()
    measured: dict[Path, FileMeasurement] = {}
    for file in options.files:
        try:
            measured[file] = measure_any(file, data)
        except MeasurementError as err:
            print(f"{file}: {err}", file=sys.stderr)
    if measured:
        print(_table(measured))
    return 0 if len(measured) == len(options.files) else 2


def _table(measured: "dict[Path, FileMeasurement]") -> str:
    from tabulate import tabulate

    coder, containers = _containers(list(measured))
    headers = [*HEADERS, f"container ({coder})"] if coder else HEADERS
    rows = [
        [
            file,
            f"{made.val_accuracy_pct:.2f}",
            f"{made.test_accuracy_pct:.2f}",
            f"{made.artifact_raw_bytes:,}",
            f"{made.artifact_bytes:,}",
            f"{made.latency_ms:.3f}",
            f"{made.latency_iqr_ms:.3f}",
            *([f"{containers[file]:,}"] if coder else []),
        ]
        for file, made in measured.items()
    ]
    alignment = ["left", *["right"] * (len(headers) - 1)]
    return tabulate(rows, headers, "simple", disable_numparse=True, colalign=alignment)


def _containers(files: Sequence[Path]) -> tuple[str | None, dict[Path, int]]:
    """Return the coder that suits the largest file, and the bytes of each one's container by it.

    All are coded alike; None and nothing where coding would take minutes.
    """
    from objectives.artifact.container_file import coded, coder_of

    coder = coder_of(max(file.stat().st_size for file in files))
    if coder is None:
        return None, {}
    return coder, {file: len(coded(file.read_bytes(), coder)) for file in files}


if __name__ == "__main__":
    sys.exit(main())
