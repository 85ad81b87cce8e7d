"""Which trials run next: combinations and samples, each handed to exactly one worker."""

import json
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta

import optuna
from optuna import Study, Trial
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from objectives.errors import AwayError
from search.storage.database import MISSED_HEARTBEATS, StudyLock
from search.storage.trial_queries import Running, TrialQueries, Vigil, Waiting

MAX_ATTEMPTS = 3
"""A combination whose worker died this often is given up."""

FAILURE = "failure"
"""User attribute of a failed trial that says why; one that is tried again has none."""

SILENT = "Its worker gave no sign of life any more."
"""Why a trial failed whose worker died unseen."""

BASELINE = "failed_baseline"
"""User attribute of a failed trial whose baseline failed, as those of all others would."""

RETRIES = "retries"
"""User attribute of a trial that tries a failed one again: its number."""

WORKER = "worker"
"""User attribute that says which process runs a trial, set after its first heartbeat."""


class TrialQueue:
    """One study as a queue of combinations; any number of processes may work on it.

    Args:
        study: A study that the storage holds.
        storage: Where claims are made.
        grid: Parameters of each combination that is to be finished exactly once.
        lock: Keeps two processes from mending the queue at the same time.
    """

    def __init__(
        self,
        study: Study,
        storage: RDBStorage,
        grid: Sequence[dict[str, float]],
        lock: StudyLock,
    ) -> None:
        self.study = study
        self.storage = storage
        self._grid = grid
        self._lock = lock
        self.queries = TrialQueries(storage, study._study_id, WORKER)
        assert storage.heartbeat_interval is not None
        grace_seconds = MISSED_HEARTBEATS * storage.heartbeat_interval
        self._vigil = Vigil(timedelta(seconds=grace_seconds))
        self._is_filled = False
        self._foreign = 0
        self._newest_read = -1
        self.given: dict[str, float] = {}
        """What the trial that was claimed last was queued with."""
        self.would_wait: Callable[[dict[str, float]], bool] = lambda _: False
        """Tells whether a combination would only wait for what another process trains now."""

    @property
    def lock(self) -> StudyLock:
        """Held while the queue changes."""
        return self._lock

    def next(self) -> Trial | None:
        """Mend the queue and return a trial that is this worker's alone, None if there is none."""
        self.mend()
        return self.claim()

    def mend(self) -> None:
        """Fail the trials of dead workers, and queue each combination that has no trial."""
        dead = self._vigil.dead(self.queries.running())
        if dead or not self._is_filled:
            with self._lock:
                self._fail(dead)
                self._fill()

    def bury(self, workers: Container[str], reason: str) -> int:
        """Fail the running trials of processes that are known to be dead; return how many.

        Each is queued again, unless its combination has had its attempts: then it is given up for
        `reason`.
        """
        with self._lock:
            running = self.queries.running()
            dead = [
                trial
                for trial in running
                if trial.worker is not None and json.loads(trial.worker) in workers
            ]
            self._fail(dead, reason)
            self._fill()
        return len(dead)

    def claim(self) -> Trial | None:
        """Return a waiting trial that no other process gets, or None if none waits."""
        while waiting := self.queries.waiting():
            params = {each.trial_id: each.params for each in waiting}
            for trial_id in self._best_first(waiting):
                try:
                    claimed = self.storage.set_trial_state_values(trial_id, TrialState.RUNNING)
                except optuna.exceptions.UpdateFinishedTrialError:
                    continue
                if claimed:
                    self.given = params[trial_id]
                    if trial_id > self._newest_read:  # Optuna sets no parameter of one unread
                        self._trials()
                    return Trial(self.study, trial_id)
        return None

    def _best_first(self, waiting: Sequence[Waiting]) -> Iterator[int]:
        """Give the ids in order, but last those that would wait for another process."""
        later = []
        for each in waiting:
            if each.params and self._is_to_wait(each.params):
                later.append(each.trial_id)
            else:
                yield each.trial_id
        yield from later

    def _is_to_wait(self, params: dict[str, float]) -> bool:
        try:
            return self.would_wait(params)
        except (TypeError, ValueError):  # somebody queued what is none of ours: it fails, at once
            return False

    def release(self, trial: Trial) -> None:
        """Put a running trial back into the queue, unless it was given up for dead.

        Where the database is away, its silence tells others.
        """
        self.put_back(trial._trial_id)

    def put_back(self, trial_id: int) -> None:
        """Do the same by its id; a trial that is there no more is no matter."""
        with suppress(optuna.exceptions.UpdateFinishedTrialError, KeyError, AwayError):
            self.storage.set_trial_state_values(trial_id, TrialState.WAITING)

    def left(self) -> int:
        """Return how many trials are still to be finished."""
        return self.open_trials()

    def open_trials(self) -> int:
        """Return how many trials wait or run, here or in another process."""
        return self.queries.count(TrialState.WAITING, TrialState.RUNNING)

    def is_done(self) -> bool:
        """Return whether nothing is left to run, here or in another process."""
        if self.open_trials():
            return False
        with self._lock:  # a process may have died between failing a trial and queueing another
            self._fill()
        return not self.open_trials()

    def pending(self) -> list[dict[str, float]]:
        """Return the parameters of the combinations that wait or run."""
        return [
            dict(trial.system_attrs["fixed_params"])
            for trial in self._trials(TrialState.WAITING, TrialState.RUNNING)
            if "fixed_params" in trial.system_attrs
        ]

    def _fill(self) -> None:
        """Queue each combination of the grid that has no trial."""
        self._is_filled = True
        trials = self._trials()
        self._foreign = sum(map(is_foreign, trials))
        present = {point_of(trial) for trial in trials if _counts(trial)}
        attempts = Counter(map(point_of, trials))
        for params in self._grid:
            point = _as_point(params)
            if point not in present and attempts[point] < MAX_ATTEMPTS:
                self.study.enqueue_trial(params)

    def _fail(self, dead: Sequence[Running], reason: str = SILENT) -> None:
        """Fail trials whose worker died, and queue their parameters again.

        The last attempt says for good why it failed; a trial that got no parameters is not missed.
        """
        for each in dead:
            trial = self.storage.get_trial(each.trial_id)
            params = trial.system_attrs.get("fixed_params", trial.params)
            attempts = [point_of(other) for other in self._trials()].count(point_of(trial))
            is_last = attempts >= MAX_ATTEMPTS
            try:
                if is_last:
                    text = f"{reason} It was tried {attempts} times."
                    self.storage.set_trial_user_attr(each.trial_id, FAILURE, text)
                self.storage.set_trial_state_values(each.trial_id, TrialState.FAIL)
            except optuna.exceptions.UpdateFinishedTrialError:  # it was alive, and has finished
                continue
            if params and not is_last:
                self.study.enqueue_trial(params)

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        trials = self.study.get_trials(deepcopy=False)
        self._newest_read = max((trial._trial_id for trial in trials), default=-1)
        return [trial for trial in trials if not states or trial.state in states]


class SampledQueue(TrialQueue):
    """A queue that asks a sampler for a trial when none waits, until the study has `total`.

    Asking happens under the lock, and each time by a sampler that is new and seeded by the number
    of trials, those not counted that are run again: workers see each other's trials, none is
    sampled twice, and a study that is resumed goes on as if it had not stopped.
    """

    def __init__(
        self,
        study: Study,
        storage: RDBStorage,
        lock: StudyLock,
        *,
        total: int,
        make_sampler: Callable[[int], BaseSampler],
    ) -> None:
        super().__init__(study, storage, [], lock)
        self._total = total
        self._make_sampler = make_sampler

    def next(self) -> Trial | None:
        """Return a waiting trial, or a new one that the sampler suggests."""
        self.mend()
        with self._lock:
            trial = self.claim()
            if trial is None and (left := self.left_to_sample()) > 0:
                self.study.sampler = self._make_sampler(self._total - left)
                trial = self._new_trial()
            return trial

    def _new_trial(self) -> Trial:
        """Do as `Study.ask`, which first looks at all trials for one that waits: none does."""
        study = self.study
        study._thread_local.cached_all_trials = None
        return Trial(study, study._storage.create_new_trial(study._study_id))

    def is_done(self) -> bool:
        """Return whether the study has its trials, and none of them waits or runs."""
        return not self.open_trials() and not self.left_to_sample()

    def left_to_sample(self) -> int:
        """Return how many trials are still to be asked of the sampler."""
        missed = self.queries.count(TrialState.FAIL) - self.queries.failed_with(FAILURE)
        missed += self.queries.having(RETRIES)  # of the two that they are, the first counts
        return max(0, self._total - (self.queries.total() - missed - self._foreign))

    def left(self) -> int:
        """Return how many trials are still to be finished."""
        return self.left_to_sample() + self.open_trials()


def _as_point(params: dict[str, float]) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(params.items()))


def point_of(trial: FrozenTrial) -> tuple[tuple[str, float], ...]:
    """Return the parameters that a trial was queued with, or else has."""
    return _as_point(trial.system_attrs.get("fixed_params", trial.params))


def _counts(trial: FrozenTrial) -> bool:
    """Return whether the trial's combination needs no other trial."""
    if is_foreign(trial):
        return False
    return trial.state != TrialState.FAIL or FAILURE in trial.user_attrs


def is_foreign(trial: FrozenTrial) -> bool:
    """Return whether somebody else has completed a trial: no worker of ours has left a trace."""
    traces = (WORKER, "plan")  # the second in studies of before
    return trial.state == TrialState.COMPLETE and not any(
        name in trial.user_attrs for name in traces
    )
