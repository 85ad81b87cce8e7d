"""Where worker processes of this machine come from: one that has imported what they need, once.

Importing torch, Lightning and the rest takes five seconds; a process that is forked from one that
has done so begins at once. It is started before this process imports anything itself, so that both
do so side by side: where each imports by itself, a study of 4 short trials by 2 workers takes 1.97
times as long (`python -m benchmarks.weighed fork_server`). Where a GPU is used, or elsewhere than
on Linux, a process imports by itself: CUDA, and macOS's libraries, do not survive a fork.
"""

import multiprocessing
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import BaseContext
from types import ModuleType

PRELOAD = "search.workers.preload"


def process_context(*, gpus: bool) -> BaseContext:
    """Return what starts processes."""
    if gpus or sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    begin_to_import()
    return multiprocessing.get_context("forkserver")


def begin_to_import() -> None:
    """Start the process that others are forked from, and come back at once; only on Linux."""
    if sys.platform != "linux":
        return
    forkserver.set_forkserver_preload([PRELOAD])
    resource_tracker.ensure_running()  # at its start it lets SIGINT through again
    with without_sigint():
        forkserver.ensure_running()


def end_importing() -> None:
    """End that process where there is one and no worker is wanted: it holds 480 MB."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined] # there is no other way


@contextmanager
def main_not_imported() -> Iterator[None]:
    """Keep processes that start meanwhile from running the script that was started once more.

    They need nothing of it, and one that calls `compress` without asking for its name would start
    others, for ever.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def without_sigint() -> Iterator[None]:
    """Keep SIGINT back, from processes that start meanwhile for ever: the driver tells them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
