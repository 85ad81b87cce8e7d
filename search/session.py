"""A user's work on a study: open it, say what will be done, do it, show it."""

import json
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any

from filelock import FileLock
from optuna.trial import FrozenTrial, TrialState
from safetensors.torch import save

from objectives.cache.locks import hold
from objectives.errors import BaselineError
from objectives.files import write_atomically
from objectives.network.state import copy_weights
from objectives.plan import Plan
from objectives.preflight.files import check_runtime
from objectives.preflight.network import check_methods, check_network
from objectives.result import Cost
from objectives.runtimes import DEFAULT
from objectives.training.sensitivity import measure_sensitivity
from search.reporting.live import LiveReport
from search.results.events import trial_event
from search.results.failures import kind_of, reason_of
from search.results.front import chosen_trial
from search.results.notes import EPOCHS_BEFORE
from search.results.ranking import SHARES
from search.sampling.layerwise import LayerwiseSpace
from search.sampling.method import SearchMethod
from search.settings.output import Output
from search.settings.setup import StudySetup, has_names
from search.settings.terminal import paragraph
from search.storage.artifact_stores import SharedStore, StoreUrl
from search.storage.connecting import holds_study
from search.storage.failed import failed_baseline
from search.storage.failed import retry_failed as retry_failed_
from search.storage.paths import StudyPaths
from search.storage.queue import BASELINE, FAILURE, SampledQueue
from search.storage.study import open_study
from search.storage.trials import made_trials
from search.workers.announce import (
    data_told,
    estimate,
    heading,
    inputs_told,
    integers_told,
    left_told,
    score_told,
    trial_line,
)
from search.workers.confirm import confirm
from search.workers.dispatch import dispatch
from search.workers.duration import Duration, Estimate
from search.workers.executors import WorkersMaker
from search.workers.processes import Processes, default_threads, processes_for
from search.workers.progress import StudyProgress
from search.workers.study_worker import StudyWorker
from search.workers.worker import work

SENSITIVITY = "sensitivity"
"""Study attribute: what each layer bears, as `objectives.training.sensitivity` measures it."""


class Session(StudyWorker):
    """The process that a user has started: it works on a study, or lets others do it.

    `workers_here` is how many will share this machine's cores, None for as many as are fastest: it
    decides how many threads a new study of a large network trains with. `artifacts` is the URL of
    a store that its files go to, too; None is the one that the study has.

    Raises:
        BadInputError: The network cannot go all the way, the store cannot be used, or the study
            cannot be opened; a study that was not there is not made.
    """

    def __init__(
        self,
        setup: StudySetup,
        paths: StudyPaths,
        storage_url: str | None = None,
        method: SearchMethod | None = None,
        *,
        heartbeat_seconds: int = 5,
        workers_here: int | None = 1,
        artifacts: str | None = None,
        output: Output | None = None,
    ) -> None:
        self.output = output or Output()
        self.told_failures: set[str] = set()
        """Kinds of reasons of failures that were told as they happened."""
        store = None if artifacts is None else StoreUrl.parse(artifacts)
        if store is not None:
            SharedStore(store, paths.files).probe()
        if not holds_study(storage_url or paths.url, paths.study):  # else it passed already
            check_network(setup.context())
            check_methods(setup.config.methods, setup.context())
            if setup.config.runtime != DEFAULT:
                check_runtime(setup.context(), setup.config.runs_on)
        self.progress = StudyProgress(shown=self.output.form != "quiet")
        threads = default_threads(setup.context().build_network(), workers_here)
        super().__init__(
            setup,
            paths,
            storage_url,
            method or SearchMethod(),
            heartbeat_seconds=heartbeat_seconds,
            progress=self.progress,
            opener=partial(open_study, threads=threads, artifacts=store),
        )
        self._live = LiveReport()

    def prepare(
        self,
        *,
        cache_bytes: int,
        workers: int | None = 1,
        trials_per_gpu: int | None = None,
        retry_failed: bool = False,
    ) -> Processes:
        """Queue what is missing; say what will be done and how long it will take.

        Returns:
            Who is to do it on this machine.
        """
        config = self.setup.config
        print(heading(config, self.paths))
        self.open_pipeline(cache_bytes)
        self._keep_first_weights()
        self.queue.mend()
        if retry_failed:
            print(f"  tried again: {retry_failed_(self.queue)} trials that failed")
        epochs, trials = self._left()
        processes = processes_for(
            config.accelerator,
            trials=min(trials, self._most_trials() or trials),
            threads=self.context.threads,
            workers=workers,
            trials_per_gpu=trials_per_gpu,
        )
        self.use_device()
        self.progress.expect(epochs=epochs, trials=trials)
        told = [score_told(self.context), inputs_told(self.context), data_told(self.context)]
        if trials > 0:
            told.append(f"compressed layers: {', '.join(self.layer_sizes)}")
            everywhere = config.runs_on.all_on_integers
            told.append(left_told(self.context))
            told.append(integers_told(self.context, config.methods, everywhere=everywhere))
        if self.sharing.store is not None:
            told.append(f"files go to {self.sharing.store.url}, too")
        shared = self.sharing.share_finished()
        if shared:
            told.append(f"files of {shared} trials that had ended before are there now")
        for line in filter(None, told):
            print(paragraph(line, indent="  "))
        if self.unhashed:
            sentence = (
                f"what {self.unhashed[0]} is cannot be hashed: what is trained is kept for this "
                "study alone, and nobody would notice that it has changed"
            )
            print(paragraph(sentence, indent="  "))
        if trials > 0 and config.accelerator == "cpu" and self.output.form != "quiet":
            print(estimate(self._duration(trials, processes), config, processes), flush=True)
        return processes

    def _duration(self, trials: int, processes: Processes) -> Duration:
        """Return how long the trials that are left will take, from what is tried now."""
        of = Estimate(self.pipeline, self.setup.config, self.space)
        if isinstance(self.queue, SampledQueue):
            return of.of_search(trials, processes)
        plans = self._pending_plans()
        return of.of_plans(plans[: self._most_trials() or len(plans)], processes)

    def _keep_first_weights(self) -> None:
        """Keep the random numbers that a caller's module begins with, for `search.api`."""
        file = self.paths.first_weights
        is_new = not self.study.get_trials(deepcopy=False)  # else they are those of another study
        nameless = self.setup.model.own and not has_names(self.setup.config)
        if nameless and (is_new or not file.exists()):
            write_atomically(file, save(copy_weights(self.context.build_network())))

    def _most_trials(self) -> int | None:
        """Return how many trials may run now; None for as many as are missing."""
        return None if isinstance(self.queue, SampledQueue) else self.method.trials

    def _left(self) -> tuple[int, int]:
        """Return the epochs to train, at most, and the trials to run."""
        config = self.setup.config
        if isinstance(self.queue, SampledQueue):
            trials = self.queue.left()
            baseline = self.pipeline.pending_epochs([config.plan()]) if trials else 0
            return baseline + trials * config.trial_epochs, trials
        plans = self._pending_plans()
        return self.pipeline.pending_epochs(plans), len(plans)

    def _pending_plans(self) -> list[Plan]:
        plans = []
        for params in self.queue.pending():
            with suppress(TypeError, ValueError):  # what is none of ours fails when it is run
                plans.append(self.plan_of(params))
        return plans

    def work(
        self, *, timeout_seconds: float | None = None, workers: WorkersMaker | None = None
    ) -> None:
        """Run trials until none is left; by `worker.work` or `dispatch.dispatch`."""
        limits: dict[str, Any] = {
            "max_trials": self._most_trials(),
            "timeout_seconds": timeout_seconds,
        }
        with self.progress.listening():
            self._queue_first_trials()
            self._require_baseline()
            if workers is None or self.queue.is_done():
                work(
                    self.queue,
                    self.run_trial,
                    progress=self.progress,
                    on_finished=self._tell,
                    **limits,
                )
            else:
                dispatch(
                    self.queue,
                    *workers(),
                    progress=self.progress,
                    on_finished=self._tell_of_another,
                    **limits,
                )

    def _require_baseline(self) -> None:
        """Raise `BaselineError` if the baseline has failed, and nobody wants to try it again."""
        failed = failed_baseline(self.study.get_trials(deepcopy=False))
        if failed is not None and not made_trials(self.study):
            raise BaselineError(failed.user_attrs[FAILURE])

    def _tell(self, trial: FrozenTrial) -> None:
        """Show a trial that has ended; of a baseline that failed the end of the study tells."""
        self.output.event(trial_event(trial))
        if BASELINE not in trial.user_attrs:
            self.progress.finish_trial(trial_line(trial, self.told_failures))
        if trial.state == TrialState.FAIL:
            self.told_failures.add(kind_of(reason_of(trial)))
        self._live.trial_ended(self.study, self.paths, self.queue)

    def _tell_of_another(self, trial: FrozenTrial) -> None:
        """Show a trial that another process has finished."""
        self._tell(trial)
        self.progress.advance(trial.user_attrs.get("epochs_trained", 0))

    def _queue_first_trials(self) -> None:
        """Let a layerwise search begin at what each layer bears, measured once per study.

        Raises:
            TrialError: The baseline cannot be trained, nor could any trial's.
        """
        if not isinstance(self.space, LayerwiseSpace):
            return
        with hold(FileLock(self.paths.folder / ".sensitivity.lock"), self.progress):
            if SENSITIVITY in self.study.user_attrs:
                return
            self.progress.start_trial("before the first trial:")
            cost = Cost()
            baseline = self.pipeline.baseline_state(self.setup.config.plan(), cost)
            self.progress.stage("sensitivity")
            sensitivity = measure_sensitivity(baseline, self.context)
            for params in self.space.first_trials(sensitivity):
                self.study.enqueue_trial(params, skip_if_exists=True)
            self.study.set_user_attr(EPOCHS_BEFORE, cost.epochs_trained)
            self.study.set_user_attr(SENSITIVITY, json.dumps(asdict(sensitivity)))

    def confirm(self, *, seeds: int) -> None:
        """Train the chosen plan with other seeds; see `search.workers.confirm`."""
        with self.progress.listening():
            confirm(self.study, self.pipeline, self.paths, seeds=seeds)

    def measure_shares(self) -> None:
        """Measure what each stage of the chosen trial saved, where a study has its own methods."""
        chosen = chosen_trial(self.study)
        if chosen is None or not self.setup.config.coders:
            return
        stored = self.study.user_attrs.get(SHARES, {})
        if stored.get("trial") != chosen.number:
            plan = Plan.from_json(chosen.user_attrs["plan"])
            with self.progress.listening():
                sizes = self.pipeline.stage_bytes(plan)
            self.study.set_user_attr(SHARES, {"trial": chosen.number, "bytes": sizes})
