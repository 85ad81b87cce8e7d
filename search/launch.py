"""One call of the command or of `compress`: work on a study, alone or by others, to its end."""

import sys
from dataclasses import dataclass, field

from optuna import Study

from models.checks import require
from objectives.errors import BaselineError, TrialError
from objectives.progress import StopRequested
from search.results.events import result_event
from search.results.failures import failure_sentences
from search.session import Session
from search.settings.output import Output
from search.settings.setup import StudySetup
from search.storage.failed import failed_for_good
from search.storage.trials import made_trials
from search.workers.executors import ClusterWorkers, LocalWorkers, Workers, WorkersMaker
from search.workers.following import followed
from search.workers.fork_server import end_importing
from search.workers.processes import Processes, gpu_workers
from search.workers.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a call works on a study, beside what each of its workers is told."""

    timeout_seconds: float | None = None
    """After this time no further trial begins."""
    workers: int | None = None
    """Processes that run trials; None is as many as the cores keep busy, 1 this one alone."""
    trials_per_gpu: int | None = None
    """Processes that share a GPU."""
    cluster: str | None = None
    """Address of a Dask cluster whose workers run the trials."""
    confirm: int | None = None
    """With how many other seeds the chosen plan is trained in the end."""
    artifacts: str | None = None
    """URL of a store that the study's files go to, for all machines; None is the one it has."""
    retry_failed: bool = False
    """Whether what failed is queued again before anything else."""
    output: Output = field(default_factory=Output)
    """Where the result goes."""

    def __post_init__(self) -> None:
        for name in ("workers", "trials_per_gpu", "confirm", "timeout_seconds"):
            value = getattr(self, name)
            require(value is None or value > 0, f"{name} > 0", **{name: value})

    def workers_here(self, accelerator: str) -> int | None:
        """Return how many workers share this machine's cores, None for as many as are fastest."""
        if self.cluster is not None:
            return 1
        if self.workers is None and accelerator == "cuda":
            return gpu_workers(self.trials_per_gpu)
        return self.workers

    def maker(self, processes: Processes, task: Task) -> WorkersMaker | None:
        """Return what starts those who run the trials, None is this process."""
        if self.cluster is None and processes.workers == 1:
            return None
        task.require_travel()

        def start() -> tuple[Workers, Task]:
            if self.cluster is None:
                return LocalWorkers(processes.workers, processes.gpus), task
            return ClusterWorkers(self.cluster, task.paths.study, self.workers), task

        return start


def work_on(setup: StudySetup, task: Task, launch: Launch) -> Session:
    """Create or resume the study of `task`, work on it and show it; return what has done so.

    Raises:
        BadInputError: Something that was named or set cannot be used; nothing was trained.
        StopRequested: Somebody wants an end; what is there was shown.
        TrialError: The baseline cannot be trained, nor could any trial's.
    """
    accelerator = setup.config.accelerator
    require(
        launch.trials_per_gpu is None or accelerator == "cuda",
        "--trials-per-gpu goes with --accelerator cuda",
        accelerator=accelerator,
    )
    session = Session(
        setup,
        task.paths,
        task.storage,
        task.method,
        heartbeat_seconds=task.heartbeat_seconds,
        workers_here=launch.workers_here(accelerator),
        artifacts=launch.artifacts,
        output=launch.output,
    )
    processes = session.prepare(
        cache_bytes=task.cache_bytes,
        workers=launch.workers,
        trials_per_gpu=launch.trials_per_gpu,
        retry_failed=launch.retry_failed,
    )
    workers = launch.maker(processes, task)
    if workers is None:
        end_importing()
    try:
        timeout = launch.timeout_seconds
        followed(session, lambda: session.work(timeout_seconds=timeout, workers=workers), print)
        followed(session, session.measure_shares, print)
        if (seeds := launch.confirm) is not None:
            followed(session, lambda: session.confirm(seeds=seeds), print)
    except StopRequested:
        show(session, "It was stopped before a trial had ended well.")
        raise
    except BaselineError as err:
        told = (
            f"The baseline of study '{session.study.study_name}' cannot be trained, so that no "
            f"trial can be: {err} {MENDED}"
        )
        show(session, told)
        raise TrialError(told) from err
    followed(session, lambda: show(session), print)
    return session


MENDED = (
    "Mended, the same command goes on with `--retry-failed`; with other settings it takes another "
    "name, `--study NAME`."
)


def show(session: Session, why_none: str | None = None) -> bool:
    """Show what the study has found, and write its report; return whether a trial was scored.

    Args:
        session: It has been worked on.
        why_none: Why no trial has ended well, where that is known and told elsewhere.
    """
    study, paths, output = session.study, session.paths, session.output
    if not made_trials(study):
        why = why_none or none_ended_well(study)
        output.event(result_event(study, paths, why=why, report=None))
        if why_none is None:
            print(why, file=sys.stderr)
        return False
    from search.reporting.writing import show_written, write_report  # its plots load slowly

    written = write_report(study, paths)
    if output.form == "quiet":
        output.line(f"{written.recommendation}\nReport: {written.page}")
    print()
    show_written(written, session.told_failures)
    why = written.recommendation
    output.event(result_event(study, paths, why=why, report=written.page))
    return True


def none_ended_well(study: Study) -> str:
    """Return why each trial failed, and what to do."""
    failed = failed_for_good(study.get_trials(deepcopy=False))
    *reasons, _ = failure_sentences(failed) or [""]
    told = " ".join([f"No trial of study '{study.study_name}' has ended well.", *reasons])
    return f"{told} {MENDED}" if failed else told
