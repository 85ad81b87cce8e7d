"""Write a study's report as Markdown, CSV and one HTML page.

`python -m search.report --study NAME`; `search.run` does it at its end.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from search.settings.parsing import OneLineParser, add_study_location
from search.settings.terminal import as_process, command


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report of the study that the options name; return the exit code."""
    parser = OneLineParser(prog="python -m search.report", description=__doc__, allow_abbrev=False)
    parser.add_argument("--study", required=True, metavar="NAME")
    parser.add_argument(
        "--against",
        nargs="+",
        default=[],
        metavar="NAME",
        help="draw the progress of these studies, of the same folder or storage, beside its own",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the report (default: the study's)"
    )
    add_study_location(parser)
    options = parser.parse_args(argv)
    return command(lambda: _report(options))


def _report(options: argparse.Namespace) -> int:
    from search.reporting.writing import show_report
    from search.storage.found import located
    from search.storage.study import load_study

    names = [options.study, *options.against]
    paths = [located(options.studies_dir, name, options.storage) for name in names]
    study, *others = (load_study(each.study, options.storage or each.url) for each in paths)
    show_report(study, paths[0], others, out=options.out)
    return 0


def start() -> int:
    """Do as `main`, as the process that a user has started."""
    return as_process(main)


if __name__ == "__main__":
    sys.exit(start())
