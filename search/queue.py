"""Which trials run next: combinations and samples, each handed to exactly one worker."""

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import optuna
from filelock import FileLock
from optuna import Study, Trial
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

from search.paths import StudyPaths
from search.storage import MISSED_HEARTBEATS

MAX_ATTEMPTS = 3
"""A combination whose worker died this often is given up."""

FAILURE = "failure"
"""User attribute of a failed trial that says why; a trial whose worker died has none."""

WORKER = "worker"
"""User attribute that says which process runs a trial, set after its first heartbeat."""


class TrialQueue:
    """One study as a queue of combinations; any number of processes may work on it.

    Args:
        study: A study that the storage holds.
        storage: Where claims are made.
        grid: Parameters of each combination that is to be finished exactly once.
        paths: Says which lock file keeps two processes from mending the queue at the same time.
    """

    def __init__(
        self,
        study: Study,
        storage: RDBStorage,
        grid: Sequence[dict[str, float]],
        paths: StudyPaths,
    ) -> None:
        self.study = study
        self.storage = storage
        self._grid = grid
        self._lock = FileLock(paths.lock)

    def next(self) -> Trial | None:
        """Mend the queue and return a trial that is this worker's alone, None if there is none."""
        self.mend()
        return self.claim()

    def mend(self) -> None:
        """Fail the trials of dead workers, and queue each combination that has no trial."""
        with self._lock:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                fail_stale_trials(self.study)
            self._fail_trials_without_heartbeat()
            present = {_point(trial) for trial in self._trials() if _counts(trial)}
            attempts = Counter(_point(trial) for trial in self._trials())
            for params in self._grid:
                point = _as_point(params)
                if point not in present and attempts[point] < MAX_ATTEMPTS:
                    self.study.enqueue_trial(params)

    def claim(self) -> Trial | None:
        """Return a waiting trial that no other process gets, or None if none waits."""
        for waiting in self._trials(TrialState.WAITING):
            trial_id = waiting._trial_id
            try:
                claimed = self.storage.set_trial_state_values(trial_id, TrialState.RUNNING)
            except optuna.exceptions.UpdateFinishedTrialError:
                continue
            if claimed:
                return Trial(self.study, trial_id)
        return None

    def release(self, trial: Trial) -> None:
        """Put a running trial back into the queue."""
        self.storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)

    def is_done(self) -> bool:
        """Return whether no trial waits or runs, here or in another process."""
        return not self._trials(TrialState.WAITING, TrialState.RUNNING)

    def pending(self) -> list[dict[str, float]]:
        """Return the parameters of the combinations that wait or run."""
        return [
            dict(trial.system_attrs["fixed_params"])
            for trial in self._trials(TrialState.WAITING, TrialState.RUNNING)
            if "fixed_params" in trial.system_attrs
        ]

    def _fail_trials_without_heartbeat(self) -> None:
        """Fail trials whose worker died between its claim and its first heartbeat.

        Optuna takes a trial without any heartbeat for a living one, for ever.
        """
        assert self.storage.heartbeat_interval is not None
        grace = timedelta(seconds=MISSED_HEARTBEATS * self.storage.heartbeat_interval)
        for trial in self._trials(TrialState.RUNNING):
            started = trial.datetime_start
            if WORKER in trial.user_attrs or started is None:
                continue
            if datetime.now() - started > grace:
                self.study.tell(trial.number, state=TrialState.FAIL)

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states or None)


class SampledQueue(TrialQueue):
    """A queue that asks a sampler for a trial when none waits, until the study has `total`.

    Asking happens under the lock, and each time by a sampler that is new and seeded by the number
    of trials: workers see each other's trials, none is sampled twice, and a study that is resumed
    goes on as if it had not stopped.
    """

    def __init__(
        self,
        study: Study,
        storage: RDBStorage,
        paths: StudyPaths,
        *,
        total: int,
        make_sampler: Callable[[int], BaseSampler],
    ) -> None:
        super().__init__(study, storage, [], paths)
        self._total = total
        self._make_sampler = make_sampler

    def next(self) -> Trial | None:
        """Return a waiting trial, or a new one that the sampler suggests."""
        self.mend()
        with self._lock:
            trial = self.claim()
            trials = self._trials()
            if trial is None and sum(map(_counts, trials)) < self._total:
                self.study.sampler = self._make_sampler(len(trials))
                with warnings.catch_warnings():  # `search.worker` gives the heartbeat
                    warnings.filterwarnings("ignore", "Heartbeat of storage", UserWarning)
                    trial = self.study.ask()
            return trial

    def left(self) -> int:
        """Return how many trials are still to be finished."""
        finished = sum(_counts(trial) for trial in self._trials() if trial.state.is_finished())
        return max(0, self._total - finished)


def _as_point(params: dict[str, float]) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(params.items()))


def _point(trial: FrozenTrial) -> tuple[tuple[str, float], ...]:
    return _as_point(trial.system_attrs.get("fixed_params", trial.params))


def _counts(trial: FrozenTrial) -> bool:
    """Return whether the trial's combination needs no other trial."""
    return trial.state != TrialState.FAIL or FAILURE in trial.user_attrs
