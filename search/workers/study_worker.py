"""One process's work on one study: its database, its pipeline, one trial after another."""

import os
import socket
import warnings
from collections.abc import Callable
from dataclasses import replace

import optuna
import torch
from optuna.storages import RDBStorage
from optuna.trial import BaseTrial, FixedTrial, FrozenTrial, TrialState

from models.errors import first_line
from objectives.cache.stage_cache import StageCache
from objectives.errors import TrialError
from objectives.network.identity import unhashed
from objectives.pipeline import Pipeline
from objectives.plan import Plan
from objectives.progress import Progress
from search.sampling.method import SearchMethod
from search.sampling.space import SearchSpace, search_space
from search.sampling.stopping import stopping_rule
from search.sampling.warm_start import warm_started
from search.settings.config import StudyConfig
from search.settings.setup import StudySetup
from search.storage.database import StudyLock
from search.storage.file_sharing import FileSharing
from search.storage.paths import StudyPaths
from search.storage.queue import WORKER, SampledQueue
from search.storage.study import join_study
from search.storage.trials import made_trials
from search.workers.announce import trial_name
from search.workers.objective import CompressionObjective
from search.workers.worker import run_next

Opener = Callable[..., tuple[optuna.Study, RDBStorage, StudyLock]]
"""`search.storage.study.open_study` or `join_study`."""


class StudyWorker:
    """Runs trials of a study.

    Args:
        setup: What the study works on.
        paths: Where its files go.
        storage_url: Its database; SQLite in the studies folder if None.
        method: How it is searched.
        heartbeat_seconds: Interval of the sign of life that a running trial gives.
        progress: Told by trials where they are.
        opener: Creates the study if it is missing, or does not.
    """

    def __init__(
        self,
        setup: StudySetup,
        paths: StudyPaths,
        storage_url: str | None,
        method: SearchMethod,
        *,
        heartbeat_seconds: int,
        progress: Progress,
        opener: Opener,
    ) -> None:
        self.method = method
        self.method.check(setup.config)
        self.paths = paths
        self.layer_sizes = setup.context().layer_sizes()
        self.space = search_space(setup.config, self.layer_sizes)
        paths.make()
        self._storage_url = storage_url
        self._heartbeat_seconds = heartbeat_seconds
        self._progress = progress
        self._named = setup
        self._open(opener)

    def _open(self, opener: Opener) -> None:
        """Open the study, under whatever name it has now."""
        paths, url = self.paths, self._storage_url or self.paths.url
        self.study, storage, lock = opener(
            paths, url, self._named.config, heartbeat_seconds=self._heartbeat_seconds
        )
        self.paths = replace(paths, study=self.study.study_name)
        config = StudyConfig.from_json(self.study.user_attrs["config"])
        self.setup = replace(self._named, config=config)
        self.sharing = FileSharing(self.study, self.paths, config.runs_on)
        if self.sharing.store is not None:  # before anything trains
            self.sharing.store.probe()
        self.context = self.setup.context(self._progress)
        self.unhashed = unhashed(self.context)
        if self.unhashed:
            self.context = replace(self.context, private=f"/{paths.files}")
        self.study.pruner = stopping_rule(self.method.stopping_rule, config.trial_epochs)
        self.queue = self.method.queue(self.study, storage, self.space, lock, config)

    def is_gone(self) -> bool:
        """Return whether the study is no longer there: it was renamed, or deleted."""
        try:
            self.queue.storage.get_study_name_from_id(self.study._study_id)
        except KeyError:
            return True
        return False

    def follow(self) -> None:
        """Go on with the study under its new name; the trials that ran here wait again.

        Raises:
            BadInputError: It was deleted.
        """
        self._open(join_study)
        self.open_pipeline(self._cache_bytes)
        host = socket.gethostname()
        for trial in self.queue.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            where, _, number = str(trial.user_attrs.get(WORKER, "")).rpartition(":")
            if where == host and not _lives_elsewhere(int(number)):
                self.queue.put_back(trial._trial_id)

    def open_pipeline(self, cache_bytes: int) -> None:
        """Make ready to run trials and to look into the cache."""
        self._cache_bytes = cache_bytes
        cache = StageCache(self.paths.cache, cache_bytes)
        config = self.setup.config
        self.pipeline = Pipeline(
            self.context,
            cache,
            self.paths.baseline,
            config.coders,
            config.runs_on,
            with_ram=config.asks_for_ram,
        )
        self._objective = CompressionObjective(
            self.pipeline, self.paths, self.setup.config, self.queue.queries, self.sharing
        )
        if not isinstance(self.queue, SampledQueue):  # what a sampler asks for has just been asked
            self.queue.would_wait = lambda params: self.pipeline.would_wait(self.plan_of(params))

    def use_device(self) -> None:
        """Train with the study's number of threads, or with the data on the GPU, from now on."""
        torch.set_num_threads(self.context.threads)
        if self.context.accelerator == "cuda":
            self.setup.data.place(torch.device("cuda"))

    def run_next(self) -> FrozenTrial | None:
        """Take a trial and run it; see `search.workers.worker.run_next`."""
        return run_next(self.queue, self.run_trial)

    def run_trial(self, trial: optuna.Trial) -> list[float]:
        """Carry out the plan that `trial` suggests; return its values."""
        plan = self._plan(trial)
        if self.method.warm_start:
            plan = warm_started(plan, self._finished_plans(), self.pipeline.is_cached)
        self.context.progress.start_trial(trial_name(trial))
        return self._objective(trial, plan)

    def _plan(self, trial: optuna.Trial) -> Plan:
        """Return what `trial` is to carry out.

        Raises:
            TrialError: Somebody has queued it with parameters that the study does not have.
        """
        given = {} if isinstance(self.queue, SampledQueue) else self.queue.given
        try:
            if given:
                self.plan_of(given)  # a real trial makes up what is missing
            return _suggested(self.space, trial)
        except (TypeError, ValueError) as err:
            told = first_line(err).partition(". ")[0]
            raise TrialError(
                f"Its parameters {given or trial.params} are none of this study's: {told}"
            ) from err

    def plan_of(self, params: dict[str, float]) -> Plan:
        """Return what a trial with `params` carries out; `ValueError` if they are none of ours."""
        return _suggested(self.space, FixedTrial(params))

    def _finished_plans(self) -> list[Plan]:
        return [Plan.from_json(trial.user_attrs["plan"]) for trial in made_trials(self.study)]


def _lives_elsewhere(process: int) -> bool:
    """Return whether another process of this machine has that number."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _suggested(space: SearchSpace, trial: BaseTrial) -> Plan:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a number out of its range, which is refused
        return space.suggest(trial)
