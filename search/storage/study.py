"""Create, resume or open a study."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import optuna
from optuna import Study
from optuna.storages import RDBStorage

from models.errors import BadInputError
from search.settings.config import StudyConfig
from search.settings.parsing import STUDIES_DIR
from search.storage.artifact_stores import ARTIFACTS, StoreUrl, url_of_study
from search.storage.connecting import without_password
from search.storage.database import (
    StudyLock,
    open_for_reading,
    open_storage,
    study_lock,
    users_url,
)
from search.storage.paths import FILES, StudyPaths
from search.storage.trial_queries import add_index_


def open_study(
    paths: StudyPaths,
    url: str,
    config: StudyConfig,
    *,
    heartbeat_seconds: int,
    threads: int,
    artifacts: StoreUrl | None = None,
) -> tuple[Study, RDBStorage, StudyLock]:
    """Create the study, or resume it if it is there; return it with its database and its lock.

    Args:
        paths: Where it is.
        url: Of its database.
        config: What it must have been made with, or is.
        heartbeat_seconds: Interval of the sign of life that a running trial gives.
        threads: That train where neither the study nor `config` says how many.
        artifacts: The store that its files go to from now on; None is the one that it has.

    Raises:
        BadInputError: The storage does not open, or the study was made with another config or has
            another store.
    """
    lock = study_lock(url, paths)
    with lock:
        storage = open_storage(url, heartbeat_seconds=heartbeat_seconds)
        study = optuna.create_study(
            storage=storage,
            study_name=_name_now(storage, paths),
            directions=config.directions,
            load_if_exists=True,
        )
        stored = study.user_attrs.get("config")
        if stored is None:
            if study.get_trials(deepcopy=False):
                raise _foreign(paths.study)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                study.set_metric_names(list(config.values))
            decided = config
        else:
            decided = StudyConfig.from_json(stored)
            config.require_same(decided, paths.study)
        if decided.threads is None:
            decided = replace(decided, threads=config.threads or threads)
        if FILES not in study.user_attrs:
            study.set_user_attr(FILES, paths.files)
        if decided.to_json() != stored:
            study.set_user_attr("config", decided.to_json())
        if artifacts is not None:
            _decide_store(study, artifacts)
        add_index_(storage.engine)
    return study, storage, lock


def _decide_store(study: Study, artifacts: StoreUrl) -> None:
    """Let the files of `study` go to a store, unless they go to another already."""
    stored = url_of_study(study)
    if stored not in {None, artifacts}:
        raise BadInputError(
            f"Study '{study.study_name}' has its files in {stored}, not in {artifacts}: leave "
            "`--artifacts` out, or give `--study` another name."
        )
    if stored is None:
        study.set_user_attr(ARTIFACTS, str(artifacts))


def join_study(
    paths: StudyPaths, url: str, config: StudyConfig, *, heartbeat_seconds: int
) -> tuple[Study, RDBStorage, StudyLock]:
    """Open a study that another process has created, to work on it.

    Raises:
        BadInputError: The storage does not open or lacks the study, or it has another config.
    """
    storage = open_storage(url, heartbeat_seconds=heartbeat_seconds, must_exist=True)
    study = _study_in(storage, _name_now(storage, paths))
    config.require_same(StudyConfig.from_json(study.user_attrs["config"]), paths.study)
    return study, storage, study_lock(url, paths)


def _name_now(storage: RDBStorage, paths: StudyPaths) -> str:
    """Return the name of the study whose files are at `paths`, which may have a new one."""
    studies = storage.get_all_studies()
    if any(each.study_name == paths.study for each in studies):
        return paths.study
    renamed = (each for each in studies if each.user_attrs.get(FILES) == paths.files)
    found = next(renamed, None)
    return paths.study if found is None else found.study_name


def load_study(name: str, url: str) -> Study:
    """Open a study for reading.

    Raises:
        BadInputError: The storage does not open, or holds no such study.
    """
    return _study_in(open_for_reading(url), name)


def location(study: Study, paths: StudyPaths) -> list[str]:
    """Return the options that name the study to another command, without a password."""
    options = ["--study", study.study_name]
    if paths.root != STUDIES_DIR:
        options += ["--studies-dir", str(paths.root)]
    storage = getattr(study._storage, "_backend", study._storage)  # behind Optuna's cache
    if isinstance(storage, RDBStorage) and users_url(storage) != paths.url:
        options += ["--storage", without_password(users_url(storage))]
    return options


def _study_in(storage: RDBStorage, name: str) -> Study:
    try:
        study = optuna.load_study(study_name=name, storage=storage)
    except KeyError as err:
        known = ", ".join(sorted(study.study_name for study in storage.get_all_studies()))
        raise BadInputError(f"There is no study '{name}'. Known: {known or 'none'}.") from err
    if "config" not in study.user_attrs:
        raise _foreign(name)
    return study


def _foreign(name: str) -> BadInputError:
    return BadInputError(f"Study '{name}' was not made by search.run: it has no config.")


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna's own lines back within the block."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
