"""One call of `search.run`: read its options, start those who work, let the session go on."""

import argparse
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.checks import require
from objectives.errors import DiskFullError, TrialError
from objectives.progress import StopRequested
from search.crew import Crew, crew_for
from search.paths import StudyPaths
from search.session import Session
from search.setup import StudySetup, setup_from_options
from search.storage import arguments_without_password, full_disk_is_told
from search.study import is_stored
from search.study_worker import method_of
from search.task import Task, warm_up
from search.workers import ClusterWorkers, LocalWorkers, Workers, WorkersMaker

INTERRUPTED = 130
"""Exit code of a command that was stopped by Ctrl-C, as shells have it."""


def run_study(options: argparse.Namespace, argv: list[str]) -> int:
    """Create or resume the study that `options` name, work on it, print its table.

    Args:
        options: What `search.options.parse` returned.
        argv: The arguments that they were parsed from, to say how to resume.

    Returns:
        The exit code: 0, 1 if no trial could be scored or the disk is full, 130 if it was stopped.

    Raises:
        BadInputError: Something that was named or set cannot be used; nothing was trained.
    """
    shown = arguments_without_password(argv)
    command = shlex.join([Path(sys.executable).name, "-m", "search.run", *shown])
    try:
        with full_disk_is_told():
            return _run(options, argv)
    except StopRequested:
        print(f"\nStopped; nothing that was finished is lost. To go on: {command}")
        return INTERRUPTED
    except DiskFullError as err:
        print(f"{err} Make room, then: {command}", file=sys.stderr)
    except TrialError as err:
        print(err, file=sys.stderr)
    return 1


def _run(options: argparse.Namespace, argv: list[str]) -> int:
    setup = setup_from_options(options)
    require(
        options.trials_per_gpu is None or setup.config.accelerator == "cuda",
        "--trials-per-gpu goes with --accelerator cuda",
        accelerator=setup.config.accelerator,
    )
    name = setup.default_name if options.study is None else options.study
    paths = StudyPaths(options.studies_dir, name)
    with _started_early(options, setup, paths) as early:
        session = Session(
            setup, paths, options.storage, method_of(options), heartbeat_seconds=options.heartbeat
        )
        crew = session.prepare(
            cache_bytes=int(options.cache_gb * 10**9),
            threads=options.threads,
            workers=options.workers,
            trials_per_gpu=options.trials_per_gpu,
        )
        workers = _workers(options, argv, crew, paths, early)
        try:
            session.work(timeout_seconds=options.timeout, workers=workers)
            session.measure_shares()
            if options.confirm is not None:
                session.confirm(seeds=options.confirm)
        except StopRequested:
            session.show()
            raise
        return 0 if session.show() else 1


@contextmanager
def _started_early(
    options: argparse.Namespace, setup: StudySetup, paths: StudyPaths
) -> Iterator[LocalWorkers | None]:
    """Give processes that import what trials need while this one looks at the network.

    None where there is nothing to gain: a study that is there may have no trials left, a cluster
    has its own, and which GPU a process sees is not known yet.
    """
    config = setup.config
    if options.cluster is not None or config.accelerator != "cpu":
        yield None
        return
    network = setup.context().build_network()
    most = options.trials or len(config.sparsity) * len(config.precision)
    crew = crew_for(network, "cpu", trials=most, workers=options.workers, threads=options.threads)
    if crew.workers == 1 or is_stored(paths.study, options.storage or paths.url):
        yield None
        return
    workers = LocalWorkers(crew.workers)
    try:
        for _ in range(crew.workers):
            workers.submit(warm_up)
        yield workers
    finally:
        workers.stop()


def _workers(
    options: argparse.Namespace,
    argv: list[str],
    crew: Crew,
    paths: StudyPaths,
    early: LocalWorkers | None,
) -> WorkersMaker | None:
    """Return what starts those who run the trials, or has them already; None is this process."""
    if options.cluster is None and crew.workers == 1:
        return None

    def start() -> tuple[Workers, Task]:
        if options.cluster is None:
            task = Task(tuple(argv), paths.study, crew.threads)
            if early is not None and early.count == crew.workers:
                return early, task
            return LocalWorkers(crew.workers, crew.gpus), task
        task = Task(tuple(argv), paths.study, options.threads)
        return ClusterWorkers(options.cluster, paths.study, options.workers), task

    return start
