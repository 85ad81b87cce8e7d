"""One call of the command or of `compress`: work on a study, alone or by others, to its end."""

from dataclasses import dataclass

from models.checks import require
from objectives.progress import StopRequested
from search.session import Session
from search.settings.setup import StudySetup
from search.storage.trials import made_trials
from search.workers.executors import ClusterWorkers, LocalWorkers, Workers, WorkersMaker
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
    )
    processes = session.prepare(
        cache_bytes=task.cache_bytes,
        workers=launch.workers,
        trials_per_gpu=launch.trials_per_gpu,
    )
    workers = launch.maker(processes, task)
    if workers is None:
        end_importing()
    try:
        session.work(timeout_seconds=launch.timeout_seconds, workers=workers)
        session.measure_shares()
        if launch.confirm is not None:
            session.confirm(seeds=launch.confirm)
    except StopRequested:
        show(session)
        raise
    show(session)
    return session


def show(session: Session) -> bool:
    """Print the table and write the report if a trial was scored; return whether one was."""
    from search.reporting.writing import show_report  # its plots take long to import

    made = bool(made_trials(session.study))
    if made:
        print()
        show_report(session.study, session.paths)
    return made
