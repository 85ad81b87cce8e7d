"""Run or resume a study: `python -m search.run --model cnn`."""

import argparse
import gc
import logging
import sys
from collections.abc import Sequence

from search.options import parse
from search.settings.cores import usable_cores
from search.settings.output import Output, output
from search.settings.terminal import as_process, command


def main(argv: Sequence[str] | None = None) -> int:
    """Work on the study that the options name; return the exit code, 2 for bad input."""
    argv = list(sys.argv[1:] if argv is None else argv)
    options = parse(argv)
    with output(options.form) as out:
        return _main(options, argv, out)


def _main(options: argparse.Namespace, argv: list[str], out: Output) -> int:
    level = logging.ERROR if out.form == "quiet" else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s: %(message)s")

    workers = options.workers or usable_cores()  # at most
    if options.cluster is None and workers > 1 and options.accelerator in {"auto", "cpu"}:
        from search.workers.fork_server import begin_to_import

        begin_to_import()
    # What is imported is no garbage, which a collection would look through each time: a study of
    # 4 short trials takes 1.36 times as long so (`python -m benchmarks.weighed gc`).
    gc.disable()
    import optuna  # here, as these imports take seconds that --help does without
    from tqdm.contrib.logging import logging_redirect_tqdm

    from search.command import run_study

    gc.freeze()
    gc.enable()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with logging_redirect_tqdm():
        return command(lambda: run_study(options, argv, out))


def start() -> int:
    """Do as `main`, as the process that a user has started."""
    return as_process(main)


if __name__ == "__main__":
    sys.exit(start())
