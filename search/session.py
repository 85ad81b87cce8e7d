"""One call of `search.run`: open the study, work on it, show it."""

import argparse
import json
import os
import shlex
import sys
from dataclasses import asdict
from pathlib import Path

import optuna
import torch
from filelock import FileLock
from optuna.trial import TrialState
from torch import nn

from objectives.cache import StageCache
from objectives.errors import DiskFullError
from objectives.locks import hold
from objectives.pipeline import Cost, Pipeline
from objectives.plan import Plan
from objectives.preflight import check_channels, check_network
from objectives.progress import StopRequested
from objectives.sensitivity import measure_sensitivity
from search.announce import describe_params, estimate, heading, trial_line
from search.confirm import confirm
from search.front import chosen_trial
from search.layerwise import LayerwiseSpace
from search.method import SearchMethod
from search.notes import EPOCHS_BEFORE
from search.objective import CompressionObjective
from search.paths import StudyPaths
from search.progress import StudyProgress
from search.queue import SampledQueue
from search.ranking import SHARES
from search.report import show_report
from search.setup import StudySetup, setup_from_options
from search.space import search_space
from search.stopping import stopping_rule
from search.study import open_study
from search.warm_start import warm_started
from search.worker import work

INTERRUPTED = 130
"""Exit code of a command that was stopped by Ctrl-C, as shells have it."""

SMALL_NETWORK = 1_000_000
"""Weights."""
SENSITIVITY = "sensitivity"
"""Study attribute: what each layer bears, as `objectives.sensitivity` measures it."""


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
    setup = setup_from_options(options)
    method = SearchMethod(
        sampler=options.sampler,
        trials=options.trials,
        stopping_rule=options.stopping_rule,
        warm_start=options.warm_start,
    )
    paths = StudyPaths(options.studies_dir, options.study or setup.default_name)
    session = Session(setup, paths, options.storage, method, heartbeat_seconds=options.heartbeat)
    session.prepare(threads=options.threads, cache_bytes=int(options.cache_gb * 10**9))
    command = shlex.join([Path(sys.executable).name, "-m", "search.run", *argv])
    try:
        session.work(timeout_seconds=options.timeout)
        session.measure_shares()
        if options.confirm is not None:
            session.confirm(seeds=options.confirm)
    except StopRequested:
        session.show()
        print(f"\nStopped; nothing that was finished is lost. To go on: {command}")
        return INTERRUPTED
    except DiskFullError as err:
        print(f"{err} Make room, then: {command}", file=sys.stderr)
        return 1
    return 0 if session.show() else 1


class Session:
    """One process's work on one study."""

    def __init__(
        self,
        setup: StudySetup,
        paths: StudyPaths,
        storage_url: str | None = None,
        method: SearchMethod | None = None,
        *,
        heartbeat_seconds: int = 5,
    ) -> None:
        self.method = method or SearchMethod()
        self.method.check(setup.config)
        paths.make()
        self.setup = setup
        self.paths = paths
        self.progress = StudyProgress()
        self.context = setup.context(self.progress)
        self.space = search_space(setup.config, self.context.layer_sizes())
        self.study, storage = open_study(
            paths, storage_url or paths.url, setup.config, heartbeat_seconds=heartbeat_seconds
        )
        config = setup.config
        self.study.pruner = stopping_rule(self.method.stopping_rule, config.trial_epochs)
        self.queue = self.method.queue(self.study, storage, self.space, paths, config)

    def prepare(self, *, threads: int | None, cache_bytes: int) -> None:
        """Queue what is missing; say what will be done and how long it will take.

        Raises:
            BadInputError: The network cannot go all the way; nothing was trained.
        """
        config, data = self.setup.config, self.setup.data
        print(heading(config, self.paths))
        network = self.context.build_network()
        torch.set_num_threads(threads or default_threads(network))
        if config.accelerator == "cuda":
            data.place(torch.device("cuda"))
        cache = StageCache(self.paths.cache, cache_bytes)
        self.pipeline = Pipeline(self.context, cache, self.paths.baseline, coders=config.coders)
        self.queue.mend()
        epochs, trials = self._left()
        self.progress.expect(epochs=epochs, trials=trials)
        if trials > 0:
            check_network(self.context)
            if {"channels", "narrow"} & set(config.methods):
                check_channels(self.context)
            print(f"  compressed layers: {', '.join(self.context.layers_of(network))}")
        if trials > 0 and config.accelerator == "cpu":
            print(estimate(self.context, config, epochs=epochs, trials=trials))

    def _left(self) -> tuple[int, int]:
        """Return the epochs to train, at most, and the trials to run."""
        config = self.setup.config
        if isinstance(self.queue, SampledQueue):
            trials = self.queue.left()
            baseline = self.pipeline.pending_epochs([config.plan()]) if trials else 0
            return baseline + trials * config.trial_epochs, trials
        fixed = [optuna.trial.FixedTrial(params) for params in self.queue.pending()]
        plans = [self.space.suggest(trial) for trial in fixed]
        return self.pipeline.pending_epochs(plans), len(plans)

    def work(self, *, timeout_seconds: float | None = None) -> None:
        """Run trials until none is left; see `search.worker.work`."""
        objective = CompressionObjective(self.pipeline, self.paths, self.setup.config)

        def run_trial(trial: optuna.Trial) -> list[float]:
            plan = self.space.suggest(trial)
            if self.method.warm_start:
                plan = warm_started(plan, self._finished_plans(), self.pipeline.is_cached)
            self.progress.start_trial(f"trial {trial.number}: {describe_params(trial.params)}")
            return objective(trial, plan)

        with self.progress.listening():
            self._queue_first_trials()
            work(
                self.queue,
                run_trial,
                progress=self.progress,
                on_finished=lambda trial: self.progress.finish_trial(trial_line(trial)),
                max_trials=None if isinstance(self.queue, SampledQueue) else self.method.trials,
                timeout_seconds=timeout_seconds,
            )

    def _finished_plans(self) -> list[Plan]:
        trials = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return [Plan.from_json(trial.user_attrs["plan"]) for trial in trials]

    def _queue_first_trials(self) -> None:
        """Let a layerwise search begin at what each layer bears, measured once per study."""
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
        """Train the chosen plan with other seeds; see `search.confirm`."""
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

    def show(self) -> bool:
        """Print the table and write the report if a trial was scored; return whether one was."""
        trials = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if trials:
            print()
            show_report(self.study, self.paths)
        return bool(trials)


def default_threads(network: nn.Module) -> int:
    """Return how many threads train fastest.

    The CNN's epoch takes 3.1 s on one thread and 3.2 s on two; AlexNet gains with each.
    """
    weights = sum(parameter.numel() for parameter in network.parameters())
    return 1 if weights < SMALL_NETWORK else os.cpu_count() or 1
