"""One call of `search.run`: open the study, work on it, show it."""

import argparse
import os
import shlex
import sys
from dataclasses import fields
from pathlib import Path

import optuna
import torch
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from torch import nn

from models.errors import BadInputError
from objectives.cache import StageCache
from objectives.context import Context
from objectives.errors import DiskFullError
from objectives.pipeline import Pipeline
from objectives.preflight import check_network, measure_pace
from objectives.progress import StopRequested
from search.config import StudyConfig
from search.objective import CompressionObjective
from search.paths import StudyPaths
from search.progress import StudyProgress
from search.provenance import commit
from search.queue import FAILURE, SampledQueue, TrialQueue
from search.report import show_report
from search.samplers import SamplerName, sampler_maker
from search.setup import StudySetup, setup_from_options
from search.space import PaperSpace, search_space
from search.study import open_study
from search.worker import work

INTERRUPTED = 130
"""Exit code of a command that was stopped by Ctrl-C, as shells have it."""

SMALL_NETWORK = 1_000_000
"""Weights."""
FILE_SECONDS = 1.5
"""What exporting and timing a small file takes."""
LONG_SECONDS = 600
DEFAULT_TRIALS = 100
"""Of a sampler."""


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
    paths = StudyPaths(options.studies_dir, options.study or setup.default_name)
    session = Session(
        setup,
        paths,
        options.storage,
        sampler=options.sampler,
        trials=options.trials,
        heartbeat_seconds=options.heartbeat,
    )
    session.prepare(threads=options.threads, cache_bytes=int(options.cache_gb * 10**9))
    command = shlex.join([Path(sys.executable).name, "-m", "search.run", *argv])
    try:
        session.work(timeout_seconds=options.timeout)
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
        *,
        sampler: SamplerName | None = None,
        trials: int | None = None,
        heartbeat_seconds: int = 5,
    ) -> None:
        paths.make()
        self.setup = setup
        self.paths = paths
        self.space = search_space(setup.config)
        self.study, storage = open_study(
            paths, storage_url or paths.url, setup.config, heartbeat_seconds=heartbeat_seconds
        )
        self.queue = self._queue(storage, sampler, trials)
        self._trials = trials
        self.progress = StudyProgress()

    def _queue(
        self, storage: RDBStorage, sampler: SamplerName | None, trials: int | None
    ) -> TrialQueue:
        config = self.setup.config
        if isinstance(self.space, PaperSpace) and sampler in {None, "grid"}:
            return TrialQueue(self.study, storage, self.space.grid(), self.paths)
        if sampler == "grid":
            raise BadInputError(f"`--sampler grid` knows no grid of the space {config.space}.")
        return SampledQueue(
            self.study,
            storage,
            self.paths,
            total=trials or DEFAULT_TRIALS,
            make_sampler=sampler_maker(sampler or "tpe", config.seed),
        )

    def prepare(self, *, threads: int | None, cache_bytes: int) -> None:
        """Queue what is missing; say what will be done and how long it will take.

        Raises:
            BadInputError: The network cannot go all the way; nothing was trained.
        """
        config, data = self.setup.config, self.setup.data
        print(_heading(config, self.paths))
        context = self.setup.context(self.progress)
        network = context.build_network()
        torch.set_num_threads(threads or default_threads(network))
        if config.accelerator == "cuda":
            data.place(torch.device("cuda"))
        cache = StageCache(self.paths.cache, cache_bytes)
        self.pipeline = Pipeline(context, cache, self.paths.baseline)
        self.queue.mend()
        epochs, trials = self._left()
        self.progress.expect(epochs=epochs, trials=trials)
        if trials > 0:
            check_network(context)
            print(f"  compressed layers: {', '.join(context.layers_of(network))}")
        if trials > 0 and config.accelerator == "cpu":
            print(_estimate(context, config, epochs=epochs, trials=trials))

    def _left(self) -> tuple[int, int]:
        """Return the epochs to train, at most, and the trials to run."""
        config = self.setup.config
        if isinstance(self.queue, SampledQueue):
            trials = self.queue.left()
            baseline = self.pipeline.pending_epochs([config.plan()]) if trials else 0
            return baseline + trials * (config.epochs + config.qat_epochs), trials
        plans = [
            config.plan(params["sparsity"], int(params["precision"]))
            for params in self.queue.pending()
        ]
        return self.pipeline.pending_epochs(plans), len(plans)

    def work(self, *, timeout_seconds: float | None = None) -> None:
        """Run trials until none is left; see `search.worker.work`."""
        objective = CompressionObjective(self.pipeline, self.paths, self.setup.config)

        def run_trial(trial: optuna.Trial) -> list[float]:
            plan = self.space.suggest(trial)
            self.progress.start_trial(f"trial {trial.number}: {_describe(trial.params)}")
            return objective(trial, plan)

        with self.progress.listening():
            work(
                self.queue,
                run_trial,
                progress=self.progress,
                on_finished=lambda trial: self.progress.finish_trial(_line(trial)),
                max_trials=None if isinstance(self.queue, SampledQueue) else self._trials,
                timeout_seconds=timeout_seconds,
            )

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


def _estimate(context: Context, config: StudyConfig, *, epochs: int, trials: int) -> str:
    """Return how long the study will take here, and how to make it shorter if that is long."""
    pace = measure_pace(context, config.batch_size)
    seconds = epochs * pace.epoch_seconds + trials * (pace.evaluation_seconds + FILE_SECONDS)
    text = (
        f"  about {_duration(seconds)} on this CPU: {epochs} epochs of "
        f"{_duration(pace.epoch_seconds)}, {trials} files to measure"
    )
    if seconds > LONG_SECONDS:
        preset = "" if config.preset else "--preset quick, or "
        text += f"\n  shorter: {preset}smaller --input-size, --train-fraction, --epochs"
    return text


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _heading(config: StudyConfig, paths: StudyPaths) -> str:
    """Return the study's name, folder and every setting."""
    settings = ", ".join(f"{field.name} {getattr(config, field.name)}" for field in fields(config))
    return f"Study {paths.study} in {paths.folder} (commit {commit()})\n  {settings}"


def _describe(params: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in params.items())


def _line(trial: FrozenTrial) -> str:
    name = f"trial {trial.number}: {_describe(trial.params)}:"
    facts = trial.user_attrs
    if trial.state == TrialState.FAIL:
        return f"{name} failed: {facts[FAILURE]}"
    seconds = sum(facts["stage_seconds"].values())
    return (
        f"{name} {facts['artifact_bytes']:,} bytes ({facts['reduction_factor']:.2f}x), "
        f"validation {facts['val_accuracy_pct']:.2f} % ({facts['val_delta_pct']:+.2f} pp), "
        f"Q {facts['quality']:.4f}, U {facts['saving']:.4f}, {seconds:.1f} s"
    )
