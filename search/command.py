"""One call of `search.run`: read its options, let the session go on, say how it ended."""

import argparse
import shlex
import sys
from dataclasses import fields
from pathlib import Path

from objectives.errors import AwayError, DiskFullError, TrialError
from objectives.progress import StopRequested
from search.launch import Launch, work_on
from search.sampling.method import SearchMethod
from search.settings.config import StudyConfig
from search.settings.given import Given
from search.settings.output import Output
from search.settings.setup import make_setup
from search.settings.terminal import STOPPED
from search.storage.database import arguments_without_password, full_disk_is_told
from search.storage.found import located
from search.storage.trials import made_trials
from search.workers.task import Task


def run_study(options: argparse.Namespace, argv: list[str], output: Output | None = None) -> int:
    """Create or resume the study that `options` name, work on it, print its table.

    Args:
        options: What `search.options.parse` returned.
        argv: The arguments that they were parsed from, to say how to resume.
        output: Where the result goes.

    Returns:
        The exit code: 0, 1 if no trial could be scored, the disk is full or a server stays away,
        130 if it was stopped.

    Raises:
        BadInputError: Something that was named or set cannot be used; nothing was trained.
    """
    output = output or Output()
    shown = arguments_without_password(argv)
    command = shlex.join([Path(sys.executable).name, "-m", "search.run", *shown])
    try:
        with full_disk_is_told():
            return _run(options, output)
    except StopRequested:
        is_read = output.form == "text"
        told = f"\nStopped; nothing that was finished is lost. To go on: {command}"
        print(told, file=sys.stdout if is_read else sys.stderr)
        return STOPPED
    except DiskFullError as err:
        print(f"{err} Make room, then: {command}", file=sys.stderr)
    except AwayError as err:
        print(f"{err} When it is back: {command}", file=sys.stderr)
    except TrialError as err:
        print(err, file=sys.stderr)
    return 1


def _run(options: argparse.Namespace, output: Output) -> int:
    settings = {
        field.name: getattr(options, field.name)
        for field in fields(StudyConfig)
        if getattr(options, field.name, None) is not None
    }
    given = Given(
        model=settings.pop("model"),
        data=settings.pop("data", None),
        weights=settings.pop("weights", None),
    )
    accelerator = settings.pop("accelerator")
    setup = make_setup(given, settings, accelerator=accelerator, data_root=options.data_root)
    name = setup.default_name if options.study is None else options.study
    task = Task.of(
        given,
        settings,
        setup.config.model_fingerprint,
        accelerator=accelerator,
        data_root=options.data_root,
        method=SearchMethod(
            sampler=options.sampler,
            trials=options.trials,
            stopping_rule=options.stopping_rule,
            warm_start=options.warm_start,
        ),
        paths=located(options.studies_dir, name, options.storage),
        storage=options.storage,
        heartbeat_seconds=options.heartbeat,
        cache_bytes=int(options.cache_gb * 10**9),
    )
    launch = Launch(
        timeout_seconds=options.timeout,
        workers=options.workers,
        trials_per_gpu=options.trials_per_gpu,
        cluster=options.cluster,
        confirm=options.confirm,
        artifacts=options.artifacts,
        retry_failed=options.retry_failed,
        output=output,
    )
    return 0 if made_trials(work_on(setup, task, launch).study) else 1
