"""The paper's grid of AlexNet on CIFAR-10, over as many sittings as it takes.

It is a study as `search.run` makes it, with one worker and the most telling combinations first. A
sitting goes on with the database and the weights of the one before; a training that an end cuts
short is done again.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile

from optuna.trial import FrozenTrial, TrialState

from benchmarks.cuda.sitting import Sitting
from benchmarks.cuda.steps import alexnet_context, images_per_second
from benchmarks.cuda.travel import pack, unpack
from objectives.cache.stage_cache import DEFAULT_LIMIT_BYTES
from objectives.progress import StopRequested
from search.launch import show
from search.sampling.method import SearchMethod
from search.session import Session
from search.settings.config import StudyConfig
from search.settings.given import Given
from search.settings.setup import make_setup
from search.storage.paths import StudyPaths
from search.storage.queue import FAILURE
from search.storage.study import load_study
from search.storage.trials import made_trials

FIRST = ((0.0, 32), (0.99, 8), (0.9, 8), (0.99, 32), (0.0, 8))
"""Sparsity and bits; the rest follows in the grid's order."""
SMOKED = 3
"""Trials of a smoke; the next one goes on."""
EPOCHS, FEWER_EPOCHS = 12, 4
"""The paper's, and those where they take too long."""
BATCH, TRAINING_IMAGES = 128, 35_000
TRAININGS = 7
"""Of the grid: a baseline, five prunings, and six times 2 epochs at 8 bits."""
TRAINING_MINUTES = 15
"""That the grid's training may take, over all sittings: about as long as measuring its files."""
RESERVE_SECONDS = 20
"""That packing takes in the end."""
RECORDED = (
    "test_accuracy_pct", "val_accuracy_pct", "test_delta_pct", "artifact_bytes",
    "artifact_raw_bytes", "baseline_bytes", "reduction_factor", "test_quality", "test_saving",
    "measured_sparsity", "latency_ms", "epochs_trained", "stage_seconds", "artifact_sha256",
    "peak_gpu_memory_mb", "versions",
)  # fmt: skip


def run(sitting: Sitting) -> None:
    """Go on with the grid until the sitting ends; write a row for each trial."""
    model, data = ("cnn", "mnist5k") if sitting.smoke else ("alexnet", sitting.data)
    paths = StudyPaths(sitting.work / "studies", f"{model}-grid")
    if sitting.resume is not None and not paths.database.exists():
        sitting.row("grid", resumed=unpack(sitting.resume, paths))
    session = _session(sitting, model, data, paths)
    epochs = session.setup.config.epochs
    for sparsity, bits in FIRST:
        point = {"sparsity": sparsity, "precision": bits}
        session.study.enqueue_trial(point, skip_if_exists=True)
    session.prepare(cache_bytes=DEFAULT_LIMIT_BYTES)
    told = {trial.number for trial in _ended(session)}
    at_most = SMOKED if sitting.smoke else session.queue.left()
    for _ in range(at_most):
        seconds = sitting.seconds_left - RESERVE_SECONDS
        if seconds <= 0 or session.queue.is_done():
            break
        try:
            with _stopped_after(session, seconds):
                session.work()
        except StopRequested:
            break
        for trial in _ended(session):
            if trial.number not in told:
                told.add(trial.number)
                sitting.row("grid", epochs=epochs, **_facts(trial))
        packed = pack(paths, _needed(session), sitting.out, limit_bytes=sitting.travel_bytes)
        sitting.row("packed", entries=packed)
    sitting.row("grid", ended=len(told), left=session.queue.left())
    if show(session):
        copyfile(paths.report("md"), sitting.out / "report.md")


def _session(sitting: Sitting, model: str, data: str, paths: StudyPaths) -> Session:
    settings: dict[str, object] = {"epochs": _epochs(sitting, paths)}
    if sitting.smoke:
        settings |= {"qat_epochs": 1, "train_fraction": 0.1, "test_fraction": 0.1}
    setup = make_setup(
        Given(model=model, data=data),
        settings,
        accelerator=sitting.accelerator,
        data_root=Path("data"),
    )
    return Session(setup, paths, method=SearchMethod(trials=1))


def _epochs(sitting: Sitting, paths: StudyPaths) -> int:
    """Return the epochs of a training: the study's, those asked for, or as many as fit."""
    if paths.database.exists():
        study = load_study(paths.study, paths.url)
        return StudyConfig.from_json(study.user_attrs["config"]).epochs
    if sitting.smoke:
        return 1
    if sitting.epochs is not None:
        return sitting.epochs
    images_per_second(sitting, alexnet_context(sitting, 5 * BATCH), BATCH)
    rate = images_per_second(sitting, alexnet_context(sitting, 50 * BATCH), BATCH)
    minutes = TRAININGS * EPOCHS * TRAINING_IMAGES / rate / 60
    epochs = EPOCHS if minutes <= TRAINING_MINUTES else FEWER_EPOCHS
    sitting.row("grid", images_per_s=round(rate, 1), minutes=round(minutes, 1), epochs=epochs)
    return epochs


@contextmanager
def _stopped_after(session: Session, seconds: float) -> Iterator[None]:
    """Stop what the session does within the block after some seconds."""
    timer = threading.Timer(seconds, session.progress.stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _ended(session: Session) -> list[FrozenTrial]:
    """Return the trials that were scored, and those that failed for good."""
    return [
        trial
        for trial in session.study.trials
        if trial.state == TrialState.COMPLETE or FAILURE in trial.user_attrs
    ]


def _facts(trial: FrozenTrial) -> dict[str, object]:
    facts = {name: trial.user_attrs[name] for name in RECORDED if name in trial.user_attrs}
    return {"trial": trial.number, **trial.params, **facts}


def _needed(session: Session) -> list[str]:
    """Return the cache keys of the weights that combinations which are left begin with.

    Those of the paper's own plans first, in the queue's order; the baseline's, from which a
    pruning is begun, where one is left that no trial has trained.
    """
    pruned, baseline = {}, ""
    for trial in made_trials(session.study):
        keys = trial.user_attrs["stage_keys"]
        baseline = keys["train"]
        pruned[trial.params["sparsity"]] = keys.get("prune", baseline)
    needed = [pruned.get(each["sparsity"], baseline) for each in session.queue.pending()]
    return list(dict.fromkeys(filter(None, needed)))
