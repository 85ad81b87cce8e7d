"""One call of `search.run`: resolve the options, work on the study, show it."""

import argparse
import shlex
import sys
from dataclasses import fields, replace
from pathlib import Path

import optuna
import torch
from optuna.trial import FrozenTrial, TrialState

from models.errors import BadInputError
from models.images import ImageData
from models.registry import DATA, MODELS
from objectives.cache import StageCache
from objectives.context import Context
from objectives.pipeline import Pipeline
from objectives.progress import StopRequested
from search.config import StudyConfig
from search.objective import CompressionObjective
from search.paths import StudyPaths
from search.progress import StudyProgress
from search.provenance import commit
from search.report import show_report
from search.space import PaperSpace
from search.study import FAILURE, TrialQueue, open_study
from search.worker import work

INTERRUPTED = 130
"""Exit code of a command that was stopped by Ctrl-C, as shells have it."""


def run_study(options: argparse.Namespace, argv: list[str]) -> int:
    """Create or resume the study that `options` name, work on it, print its table.

    Args:
        options: What `search.options.parse` returned.
        argv: The arguments that they were parsed from, to say how to resume.

    Returns:
        The exit code: 0, 1 if no trial could be scored, 130 if it was stopped.

    Raises:
        BadInputError: Something that was named or set cannot be used; nothing was trained.
    """
    config, data, paths = _resolve(options)
    url = options.storage or paths.url
    study, storage = open_study(paths, url, config, heartbeat_seconds=options.heartbeat)
    space = PaperSpace(config)
    queue = TrialQueue(study, storage, space.grid(), paths)
    queue.mend()
    print(_heading(config, paths))

    torch.set_num_threads(1)  # threads buy nothing here: a second process doubles the throughput
    progress = StudyProgress()
    context = Context(
        model_name=config.model,
        model=MODELS.get(config.model),
        data=data,
        seed=config.seed,
        accelerator=config.accelerator,
        progress=progress,
    )
    pipeline = Pipeline(context, StageCache(paths.cache), paths.baseline)
    pending = [space.plan(params) for params in queue.pending()]
    progress.expect(epochs=pipeline.pending_epochs(pending), trials=len(pending))
    objective = CompressionObjective(pipeline, paths, config.objective)

    def run_trial(trial: optuna.Trial) -> float:
        plan = space.suggest(trial)
        progress.start_trial(f"trial {trial.number}: {_describe(trial.params)}")
        return objective(trial, plan)

    stopped = False
    with progress.listening():
        try:
            work(
                queue,
                run_trial,
                progress=progress,
                on_finished=lambda trial: progress.finish_trial(_line(trial)),
                max_trials=options.trials,
                timeout_seconds=options.timeout,
            )
        except StopRequested:
            stopped = True
    scored = any(trial.state == TrialState.COMPLETE for trial in study.get_trials(deepcopy=False))
    if scored:
        print()
        show_report(study, paths)
    if stopped:
        command = shlex.join([Path(sys.executable).name, "-m", "search.run", *argv])
        print(f"\nStopped; nothing that was finished is lost. To go on: {command}")
        return INTERRUPTED
    return 0 if scored else 1


def _resolve(options: argparse.Namespace) -> tuple[StudyConfig, ImageData, StudyPaths]:
    model = MODELS.get(options.model)
    data_name = options.data or model.data
    data = DATA.get(data_name)(options.data_root)
    given = {
        field.name: getattr(options, field.name)
        for field in fields(StudyConfig)
        if getattr(options, field.name, None) is not None
    }
    defaults = {
        name: getattr(model, name) for name in ("epochs", "qat_epochs", "batch_size", "lr")
    }
    settings = defaults | given
    settings["data"] = data_name
    settings["accelerator"] = _accelerator(options.accelerator)
    config = StudyConfig(**settings, data_fingerprint="")
    paths = StudyPaths(
        options.studies_dir, options.study or f"{config.model}-{config.data}-{config.space}"
    )
    data.setup()
    paths.make()
    return replace(config, data_fingerprint=data.fingerprint()), data, paths


def _accelerator(name: str) -> str:
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return next(device for device, there in available.items() if there)
    if not available[name]:
        raise BadInputError(f"`--accelerator {name}`: this machine has no such device.")
    return name


def _heading(config: StudyConfig, paths: StudyPaths) -> str:
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
