"""One call of `search.run`: read its options, start those who work, let the session go on."""

import argparse
import shlex
import sys
from pathlib import Path

from models.checks import require
from objectives.errors import DiskFullError, TrialError
from objectives.progress import StopRequested
from search.crew import Crew, gpu_workers
from search.fork_server import end_importing
from search.paths import StudyPaths
from search.session import Session
from search.setup import setup_from_options
from search.storage import arguments_without_password, full_disk_is_told
from search.study_worker import method_of
from search.task import Task
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
    session = Session(
        setup,
        paths,
        options.storage,
        method_of(options),
        heartbeat_seconds=options.heartbeat,
        workers_here=_workers_here(options, setup.config.accelerator),
    )
    crew = session.prepare(
        cache_bytes=int(options.cache_gb * 10**9),
        workers=options.workers,
        trials_per_gpu=options.trials_per_gpu,
    )
    workers = _workers(options, argv, crew, paths)
    if workers is None:
        end_importing()
    try:
        session.work(timeout_seconds=options.timeout, workers=workers)
        session.measure_shares()
        if options.confirm is not None:
            session.confirm(seeds=options.confirm)
    except StopRequested:
        session.show()
        raise
    return 0 if session.show() else 1


def _workers_here(options: argparse.Namespace, accelerator: str) -> int | None:
    """Return how many workers share this machine's cores, None for as many as are fastest."""
    if options.cluster is not None:
        return 1
    if options.workers is None and accelerator == "cuda":
        return gpu_workers(options.trials_per_gpu)
    workers: int | None = options.workers
    return workers


def _workers(
    options: argparse.Namespace,
    argv: list[str],
    crew: Crew,
    paths: StudyPaths,
) -> WorkersMaker | None:
    """Return what starts those who run the trials, None is this process."""
    if options.cluster is None and crew.workers == 1:
        return None

    def start() -> tuple[Workers, Task]:
        task = Task(tuple(argv), paths.study)
        if options.cluster is None:
            return LocalWorkers(crew.workers, crew.gpus), task
        return ClusterWorkers(options.cluster, paths.study, options.workers), task

    return start
