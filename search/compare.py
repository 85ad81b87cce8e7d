"""Compare files: `python -m search.compare A.onnx B.tflite --data NAME`.

Each is run by ONNX Runtime, by LiteRT where its name ends with .tflite, by OpenVINO where it ends
with .xml, or by the runtime that `--runtime` names, and measured on the same data in the same way,
whoever made it: score, bytes, latency of one input on one thread, memory. A file may have seen the
validation part if it was trained elsewhere.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from objectives.runtimes import NAMES as RUNTIMES
from search.settings.parsing import OneLineParser, add_data_root, add_score, positive_int
from search.settings.terminal import as_process, command

if TYPE_CHECKING:
    from objectives.artifact.measure import FileMeasurement
    from objectives.score.base import Score

HEADERS = ("bytes", "after gzip", "latency ms", "± (IQR)", "RAM kB")


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="python -m search.compare", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="ONNX, .tflite, .xml")
    parser.add_argument(
        "--runtime",
        choices=RUNTIMES,
        help="what runs all of them (default: what their names say)",
    )
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
    add_score(parser)
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
    from objectives.runtimes import runtime_of
    from objectives.score.named import score_named

    chosen = DataOptions(root=options.data_root, input_size=options.input_size)
    data = resolve_data(options.data, chosen)
    if options.task is not None:
        data.ask(options.task)
    data.setup()
    score = score_named(
        options.metric, arguments=options.metric_args, mode=options.metric_mode, data=data
    )
    measured: dict[Path, FileMeasurement] = {}
    for file in options.files:
        try:
            runtime = runtime_of(file, options.runtime)
            measured[file] = measure_any(file, data, score, runtime, with_ram=True)
        except MeasurementError as err:
            print(f"{file}: {err}", file=sys.stderr)
    if measured:
        print(_table(measured, score))
    return 0 if len(measured) == len(options.files) else 2


def _table(measured: "dict[Path, FileMeasurement]", score: "Score") -> str:
    from tabulate import tabulate

    from search.results.scored import told

    coder, containers = _containers(list(measured))
    metric = "" if score.name == "accuracy" else f" {score.name}"
    unit = " %" if score.is_share else ""
    headers = ["file", f"validation{metric}{unit}", f"test{metric}{unit}", *HEADERS]
    if coder:
        headers.append(f"container ({coder})")
    rows = [
        [
            file,
            told(made.val_score, is_share=score.is_share).removesuffix(" %"),
            told(made.test_score, is_share=score.is_share).removesuffix(" %"),
            f"{made.artifact_raw_bytes:,}",
            f"{made.artifact_bytes:,}",
            f"{made.latency_ms:.3f}",
            f"{made.latency_iqr_ms:.3f}",
            "-" if made.ram_bytes is None else f"{made.ram_bytes / 1024:,.1f}",
            *([f"{containers[file]:,}" if file in containers else "-"] if coder else []),
        ]
        for file, made in measured.items()
    ]
    alignment = ["left", *["right"] * (len(headers) - 1)]
    return tabulate(rows, headers, "simple", disable_numparse=True, colalign=alignment)


def _containers(files: Sequence[Path]) -> tuple[str | None, dict[Path, int]]:
    """Return the coder that suits the largest file, and the bytes of each one's container by it.

    All are coded alike; None and nothing where coding would take minutes. Containers hold ONNX.
    """
    from objectives.artifact.container_file import coded, coder_of
    from objectives.runtimes import OF_ENDING

    held = [file for file in files if file.suffix not in OF_ENDING]
    coder = coder_of(max(file.stat().st_size for file in held)) if held else None
    if coder is None:
        return None, {}
    return coder, {file: len(coded(file.read_bytes(), coder)) for file in held}


def start() -> int:
    """Do as `main`, as the process that a user has started."""
    return as_process(main)


if __name__ == "__main__":
    sys.exit(start())
