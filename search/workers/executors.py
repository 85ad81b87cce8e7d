"""Who runs tasks: processes of this machine, or a Dask cluster; each is an `Executor` inside."""

import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, wait
from multiprocessing.queues import SimpleQueue
from typing import Protocol

from tqdm import tqdm

from models.errors import BadInputError
from search.storage.queue import MAX_ATTEMPTS, TrialQueue
from search.workers.fork_server import main_not_imported, process_context, without_sigint
from search.workers.worker_progress import PROGRESS

AnyTask = Callable[[], int | None]
"""Runs one trial and returns its id, None if none waited; see `search.workers.task`."""

STOP_SECONDS = 60
"""How long a cluster's trials have for going back into the queue."""


class Workers(Protocol):
    """Run tasks, one each at a time."""

    count: int
    """Tasks that can run at the same time."""
    died: type[Exception]
    """What the future of a task raises whose worker died."""

    def submit(self, task: AnyTask) -> "Future[int | None]":
        """Run `task` as soon as a worker is free."""

    def recover(self, queue: TrialQueue) -> int:
        """After a death, make ready to go on; return how many trials it is known to have cost."""

    def stop(self) -> None:
        """End; the trials that run go back into the queue."""


WorkersMaker = Callable[[], tuple[Workers, AnyTask]]
"""Starts workers; returns them and what each is to do again and again."""


class LocalWorkers:
    """Processes of this machine; see `search.workers.fork_server` for how they begin.

    Args:
        count: How many.
        gpus: Values of CUDA_VISIBLE_DEVICES that they share out; none where none is used.
    """

    died: type[Exception] = BrokenExecutor

    def __init__(self, count: int, gpus: Sequence[str] = ()) -> None:
        self.count = count
        self._gpus = gpus
        self._processes: set[multiprocessing.process.BaseProcess] = set()
        self._futures: list[Future[int | None]] = []
        self._start()

    def _start(self) -> None:
        context = process_context(gpus=bool(self._gpus))
        places: SimpleQueue[str | None] = context.SimpleQueue()
        for number in range(self.count):
            places.put(self._gpus[number % len(self._gpus)] if self._gpus else None)
        self._pool = ProcessPoolExecutor(
            self.count, mp_context=context, initializer=_begin, initargs=(places,)
        )

    def submit(self, task: AnyTask) -> "Future[int | None]":
        """Run `task` as soon as a process is free; one that is started hears no Ctrl-C."""
        with without_sigint(), main_not_imported():
            future = self._pool.submit(_run, task)
        self._processes |= set(multiprocessing.active_children())
        self._futures = [each for each in self._futures if not each.done()] + [future]
        return future

    def recover(self, queue: TrialQueue) -> int:
        """Give up the trials of the dead and start others in their place.

        A pool ends all its processes when one dies; those that live put their trials back.
        """
        self._pool.shutdown()
        host, dead = socket.gethostname(), self._processes
        signals = sorted({-code for process in dead if (code := process.exitcode or 0) < 0})
        reason = "Its worker died"
        if signals:
            names = ", ".join(signal.Signals(number).name for number in signals)
            reason += f" of {names}" + (", as when memory runs out" if 9 in signals else "")
        lost = queue.bury({f"{host}:{process.pid}" for process in dead}, f"{reason}.")
        self._processes = set()
        self._start()
        return lost

    def stop(self) -> None:
        """End all processes; the trials that run go back into the queue."""
        for future in self._futures:
            future.cancel()
        if not all(future.done() for future in self._futures):
            for process in self._processes:
                process.terminate()
        self._pool.shutdown()


class _State:
    """What a signal finds in a worker process."""

    busy = False
    stopping = False


def _begin(places: "SimpleQueue[str | None]") -> None:
    """Make this process a worker: on SIGTERM it puts its trial back and ends."""
    gpu = places.get()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # before the first call of CUDA

    def stop(*_: object) -> None:
        _State.stopping = True
        PROGRESS.request_stop()
        if not _State.busy:
            os._exit(0)

    def follow() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    # torch's exporter makes a bar, whose own lock is a semaphore that `os._exit` would leak.
    tqdm.set_lock(threading.RLock())
    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=follow, daemon=True).start()


def _run(task: AnyTask) -> int | None:
    _State.busy = True
    try:
        return task()
    finally:
        _State.busy = False
        if _State.stopping:
            os._exit(0)  # the executor that would take the answer may be dead


class ClusterWorkers:
    """The workers of a Dask cluster that runs already, each of which runs one task at a time.

    Raises:
        BadInputError: The package is not installed, or nobody answers.
    """

    def __init__(self, address: str, study: str, count: int | None = None) -> None:
        try:
            import distributed
        except ImportError as err:
            raise BadInputError(
                "`--cluster` needs the package distributed: the extra [cluster]."
            ) from err
        self.died: type[Exception] = distributed.scheduler.KilledWorker
        try:
            self._client = distributed.Client(address, timeout="10s", set_as_default=False)
        except (OSError, ValueError) as err:
            raise BadInputError(f"`--cluster {address}`: no scheduler answers there.") from err
        self._study = study
        self.count = count or max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))
        self._executor = self._client.get_executor(retries=MAX_ATTEMPTS)
        self._futures: list[Future[int | None]] = []

    def submit(self, task: AnyTask) -> "Future[int | None]":
        """Let the scheduler choose a worker, and another one if that dies."""
        future: Future[int | None] = self._executor.submit(task, pure=False)
        self._futures = [each for each in self._futures if not each.done()] + [future]
        return future

    def recover(self, queue: TrialQueue) -> int:
        """Return 0: the scheduler replaces workers, and heartbeats tell which trials died."""
        del queue
        return 0

    def stop(self) -> None:
        """Cancel what waits; let this study's trials that run go back into the queue."""
        for future in self._futures:
            future.cancel()
        running = [future for future in self._futures if not future.done()]
        self._client.run(_request_stop, self._study)
        wait(running, STOP_SECONDS)
        self._client.close()


def _request_stop(study: str) -> None:
    PROGRESS.request_stop(study)
