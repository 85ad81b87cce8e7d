"""A study and its queue, mended so that no combination is lost or repeated."""

import warnings
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import optuna
from filelock import FileLock
from optuna import Study, Trial
from optuna.storages import RDBStorage, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

from models.errors import BadInputError
from search.config import StudyConfig
from search.paths import StudyPaths
from search.storage import MISSED_HEARTBEATS, open_storage

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

    def pending(self) -> list[dict[str, float]]:
        """Return the parameters of the trials that wait or run."""
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


def _as_point(params: dict[str, float]) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(params.items()))


def _point(trial: FrozenTrial) -> tuple[tuple[str, float], ...]:
    return _as_point(trial.system_attrs.get("fixed_params", trial.params))


def _counts(trial: FrozenTrial) -> bool:
    """Return whether the trial's combination needs no other trial."""
    return trial.state != TrialState.FAIL or FAILURE in trial.user_attrs


def open_study(
    paths: StudyPaths, url: str, config: StudyConfig, *, heartbeat_seconds: int
) -> tuple[Study, RDBStorage]:
    """Create the study, or resume it if it is there.

    Raises:
        BadInputError: The storage does not open, or the study was made with another config.
    """
    with FileLock(paths.lock):
        storage = open_storage(url, heartbeat_seconds=heartbeat_seconds)
        study = optuna.create_study(
            storage=storage,
            study_name=paths.study,
            direction="maximize",
            sampler=optuna.samplers.RandomSampler(seed=config.seed),
            load_if_exists=True,
        )
        stored = study.user_attrs.get("config")
        if stored is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                study.set_metric_names([config.objective])
            study.set_user_attr("config", config.to_json())
        else:
            config.require_same(StudyConfig.from_json(stored), paths.study)
    return study, storage


def load_study(name: str, url: str) -> Study:
    """Open a study for reading.

    Raises:
        BadInputError: The storage does not open, or holds no such study.
    """
    storage = open_storage(url, must_exist=True)
    try:
        return optuna.load_study(study_name=name, storage=storage)
    except KeyError as err:
        known = ", ".join(sorted(study.study_name for study in storage.get_all_studies()))
        raise BadInputError(f"There is no study '{name}'. Known: {known or 'none'}.") from err
