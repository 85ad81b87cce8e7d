"""Work on a study: take a waiting trial, run it, record how it ended; until nothing is left."""

import logging
import os
import socket
import time
from collections.abc import Callable, Sequence

import optuna
from optuna import Trial
from optuna.trial import FrozenTrial, TrialState

from objectives.errors import BaselineError, TrialError
from objectives.progress import Progress
from search.sampling.stopping import STOPPED, TrialStopped
from search.storage.database import heartbeat
from search.storage.queue import BASELINE, FAILURE, WORKER, TrialQueue

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""How often a worker with nothing to do looks whether the others are done."""


def work(
    queue: TrialQueue,
    objective: Callable[[Trial], float | Sequence[float]],
    *,
    progress: Progress,
    on_finished: Callable[[FrozenTrial], None],
    max_trials: int | None = None,
    timeout_seconds: float | None = None,
) -> None:
    """Run trials until each one of the queue is finished, here or in another process.

    A trial ends in one of five ways. It returns a number: complete. It cannot be scored
    (`TrialError`): failed with its reason, and the study goes on. It cannot win (`TrialStopped`):
    stopped early. Somebody asks to stop, or we have a bug: the trial goes back into the queue and
    the exception out of here.

    Args:
        queue: The study.
        objective: Returns a trial's value or values.
        progress: Asked between trials whether to stop.
        on_finished: Told of each trial that ended here.
        max_trials: Trials to run here at most.
        timeout_seconds: After this time no further trial begins.

    Raises:
        StopRequested: The progress wants an end.
        BaselineError: The baseline failed, as it would for each other trial.
    """
    started, done = time.monotonic(), 0
    while max_trials is None or done < max_trials:
        if timeout_seconds is not None and time.monotonic() - started >= timeout_seconds:
            return
        progress.check()
        finished = run_next(queue, objective)
        if finished is not None:
            on_finished(finished)
            require_baseline(finished)
            done += 1
        elif queue.is_done():
            return
        else:
            time.sleep(POLL_SECONDS)


def require_baseline(finished: FrozenTrial) -> None:
    """Raise `BaselineError` if the trial failed because the study's baseline did."""
    if finished.user_attrs.get(BASELINE):
        raise BaselineError(finished.user_attrs[FAILURE])


def run_next(
    queue: TrialQueue, objective: Callable[[Trial], float | Sequence[float]]
) -> FrozenTrial | None:
    """Run one trial; None if none waits, or another process has given it up for dead meanwhile."""
    trial = queue.next()
    return None if trial is None else _run(queue, trial, objective)


def _run(
    queue: TrialQueue, trial: Trial, objective: Callable[[Trial], float | Sequence[float]]
) -> FrozenTrial | None:
    """Run one claimed trial; None if another process had given it up for dead meanwhile."""
    try:
        with heartbeat(queue.storage, trial._trial_id):
            trial.set_user_attr(WORKER, f"{socket.gethostname()}:{os.getpid()}")
            try:
                value = objective(trial)
            except TrialError as err:
                trial.set_user_attr(FAILURE, str(err))
                if isinstance(err, BaselineError):
                    trial.set_user_attr(BASELINE, True)
                return _tell(queue, trial, state=TrialState.FAIL)
            except TrialStopped:
                return _tell(queue, trial, state=STOPPED)
            return _tell(queue, trial, value)
    except optuna.exceptions.UpdateFinishedTrialError:
        log.warning("Trial %d was given up for dead by another process.", trial.number)
        return None
    except BaseException:
        queue.release(trial)
        raise


def _tell(
    queue: TrialQueue,
    trial: Trial,
    value: float | Sequence[float] | None = None,
    state: TrialState | None = None,
) -> FrozenTrial:
    """Record how a trial ended.

    Raises:
        UpdateFinishedTrialError: Another process has ended it; `Study.tell` asks before it writes,
            and then has a `ValueError` for it.
    """
    if queue.storage.get_trial(trial._trial_id).state.is_finished():
        raise optuna.exceptions.UpdateFinishedTrialError
    return queue.study.tell(trial.number, value, state=state)
