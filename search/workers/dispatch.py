"""Work on a study by others: keep each worker busy with one trial, until nothing is left."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait

from optuna.trial import FrozenTrial

from models.errors import BadInputError
from objectives.progress import Progress, StopRequested
from search.storage.queue import TrialQueue
from search.workers.executors import AnyTask, Workers
from search.workers.worker import POLL_SECONDS, require_baseline

log = logging.getLogger(__name__)

FRUITLESS_DEATHS = 3
"""Workers that died in a row without having taken a trial: more would, too."""


def dispatch(
    queue: TrialQueue,
    workers: Workers,
    task: AnyTask,
    *,
    progress: Progress,
    on_finished: Callable[[FrozenTrial], None],
    max_trials: int | None = None,
    timeout_seconds: float | None = None,
) -> None:
    """Let `workers` run trials until each one of the queue is finished, by them or by others.

    What else there is to say is said at `search.workers.worker.work`, which does it in this
    process. The workers are stopped in any case.

    Raises:
        BadInputError: A worker cannot work on the study, or workers die before they take a trial.
        BaselineError: The baseline failed, as it would for each other trial.
    """
    under_way = _Dispatch(queue, workers, task, on_finished)
    started = time.monotonic()
    try:
        while True:
            progress.check()
            queue.mend()
            late = timeout_seconds is not None and time.monotonic() - started >= timeout_seconds
            enough = max_trials is not None and under_way.done >= max_trials
            if not late and not enough:
                left = None if max_trials is None else max_trials - under_way.done
                under_way.submit(left)
            elif not under_way.running:
                return
            if not under_way.running and queue.is_done():
                return
            under_way.collect()
    finally:
        workers.stop()


class _Dispatch:
    """The tasks that are under way."""

    def __init__(
        self,
        queue: TrialQueue,
        workers: Workers,
        task: AnyTask,
        on_finished: Callable[[FrozenTrial], None],
    ) -> None:
        self._queue = queue
        self._workers = workers
        self._task = task
        self._on_finished = on_finished
        self.running: set[Future[int | None]] = set()
        self.done = 0
        self._deaths = 0
        self._pause_until = 0.0

    def submit(self, most: int | None) -> None:
        """Submit as many tasks as there are free workers and trials, no more than `most` run."""
        if time.monotonic() < self._pause_until:
            return
        wanted = min(self._workers.count, self._queue.left())
        if most is not None:
            wanted = min(wanted, most)
        try:
            while len(self.running) < wanted:
                self.running.add(self._workers.submit(self._task))
        except self._workers.died:
            self._recover()

    def collect(self) -> None:
        """Wait a little, and tell of the tasks that have ended."""
        if not self.running:
            time.sleep(POLL_SECONDS)
            return
        ended, self.running = wait(self.running, POLL_SECONDS, FIRST_COMPLETED)
        for future in ended:
            self._end(future)
        if any(isinstance(each.exception(), self._workers.died) for each in ended):
            self._recover()

    def _recover(self) -> None:
        log.warning("A worker died; its trial is run again.")
        lost = self._workers.recover(self._queue)
        self._deaths = 0 if lost else self._deaths + 1
        if self._deaths >= FRUITLESS_DEATHS:
            raise BadInputError(
                f"{self._deaths} workers in a row died before they took a trial: try "
                "`--workers 1`, which shows why."
            )
        ended = {each for each in self.running if each.done()}  # all, where a pool broke
        self.running -= ended
        for future in ended:
            self._end(future)

    def _end(self, future: "Future[int | None]") -> None:
        try:
            trial_id = future.result()
        except (self._workers.died, StopRequested):  # its trial waits again
            return
        if trial_id is None:  # others were faster
            self._pause_until = time.monotonic() + POLL_SECONDS
            return
        self.done += 1
        self._deaths = 0
        finished = self._queue.storage.get_trial(trial_id)
        self._on_finished(finished)
        require_baseline(finished)
