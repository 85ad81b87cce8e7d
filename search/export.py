"""Take a trial's file away: `python -m search.export --study NAME --out DIR`.

The folder gets the ONNX file, its weights for PyTorch, a model card and checksums. The file is
measured again first; if it is not what the trial measured, nothing is written.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from search.settings.parsing import OneLineParser, add_data_root, add_study_location
from search.settings.terminal import as_process, command


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(prog="python -m search.export", description=__doc__, allow_abbrev=False)
    parser.add_argument("--study", required=True, metavar="NAME")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--trial", type=int, metavar="N", help="its number (default: the recommended one)"
    )
    which.add_argument(
        "--best",
        choices=("quality", "saving"),
        help="the one with the highest Q (Eq. 5) or retained saving U on validation",
    )
    which.add_argument(
        "--max-drop",
        type=float,
        metavar="PP",
        help="the smallest that loses so much of the validation score at most, points or percent",
    )
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="a folder that is new or empty"
    )
    parser.add_argument(
        "--container", action="store_true", help="write the file's container (.onc), too"
    )
    parser.add_argument(
        "--format",
        choices=("onnx", "openvino", "tflite", "c"),
        default="onnx",
        help="what the network is written as, too, with the same weights and scales: openvino, "
        "its IR; tflite, for LiteRT; c, for microcontrollers, of a network at 8 bits or fewer",
    )
    add_study_location(parser)
    add_data_root(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Write the folder; return the exit code, 1 if the file is not what was measured."""
    options = _parser().parse_args(argv)
    return command(lambda: _export(options))


def _export(options: argparse.Namespace) -> int:
    from search.reporting.bundle import write_bundle
    from search.results.choice import choose
    from search.results.scored import told
    from search.results.table import StudyTable
    from search.settings.setup import reopen
    from search.storage.file_finding import FileFinder
    from search.storage.found import load_located
    from search.storage.snapshot import StudySnapshot

    found, paths = load_located(options.studies_dir, options.study, options.storage)
    study = StudySnapshot(found)
    table = StudyTable(study)
    row = choose(study, table, trial=options.trial, best=options.best, max_drop=options.max_drop)
    setup = reopen(table.config, table.name, options.data_root)
    artifact = FileFinder(study, paths).find(row.trial)
    measured = write_bundle(
        artifact,
        row,
        table,
        setup,
        options.out,
        container=options.container,
        form=options.format,
    )
    print(
        f"{options.out}: trial {row.trial.number} ({row.done}), "
        f"{told(measured.test_score, is_share=row.scored.is_share)} on test"
    )
    for file in sorted(each for each in options.out.rglob("*") if each.is_file()):
        print(f"  {file.relative_to(options.out)}  {file.stat().st_size:,} bytes")
    return 0


def start() -> int:
    """Do as `main`, as the process that a user has started."""
    return as_process(main)


if __name__ == "__main__":
    sys.exit(start())
