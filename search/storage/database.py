"""Open the database of a study so that several processes can share it."""

import hashlib
import logging
import os
import shutil
import sqlite3
import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import optuna
import sqlalchemy
from filelock import FileLock
from optuna.storages import RDBStorage
from sqlalchemy import event

from models.errors import BadInputError, first_line
from objectives.errors import AwayError, DiskFullError
from search.storage.connecting import (
    failure_in_one_line,
    is_missing,
    parsed_url,
    patience,
    without_password,
)
from search.storage.paths import StudyPaths
from search.storage.reconnecting import ReconnectingStorage, reconnect_

log = logging.getLogger(__name__)

MISSED_HEARTBEATS = 6
"""A trial that was silent for this many heartbeats counts as dead."""

StudyLock = AbstractContextManager[object]
"""Held while a study is created, its queue mended, or a sampler asked; may be taken again."""


def open_storage(url: str, *, heartbeat_seconds: int = 5, must_exist: bool = False) -> RDBStorage:
    """Open the database at `url`, making its tables if they are missing.

    Two processes must not open a new database at the same time: `study_lock` keeps them apart.

    Args:
        url: A database URL of SQLAlchemy, such as sqlite:///studies/name.db.
        heartbeat_seconds: Interval of the sign of life that a running trial gives.
        must_exist: Whether a SQLite file that is not there is refused instead of made.

    Raises:
        BadInputError: It does not open, or what is there is no study database.
    """
    parsed = parsed_url(url)
    shown = without_password(url)
    is_sqlite = parsed.get_backend_name() == "sqlite"
    if is_sqlite and parsed.database in {None, "", ":memory:"}:
        raise BadInputError(
            f"The storage {shown} names no file: a study must outlast its process."
        )
    if must_exist and is_missing(url):
        raise BadInputError(f"The storage {shown} is not there.")
    with failure_in_one_line(shown):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            storage = ReconnectingStorage(
                url,
                engine_kwargs={"pool_pre_ping": not is_sqlite, "connect_args": patience(parsed)},
                heartbeat_interval=heartbeat_seconds,
                grace_period=MISSED_HEARTBEATS * heartbeat_seconds,
            )
        if is_sqlite:
            _share_(storage.engine)
            _check(storage.engine)
        else:
            reconnect_(storage.engine)
    return storage


def open_for_reading(url: str) -> RDBStorage:
    """Open a database that is there; of one that may only be read a copy, for this process.

    SQLite writes beside a database also to read it.

    Raises:
        BadInputError: It does not open, or what is there is no study database.
    """
    parsed = parsed_url(url)
    file = Path(parsed.database or "")
    if parsed.get_backend_name() == "sqlite" and file.is_file() and not _is_writable(file):
        folder = tempfile.TemporaryDirectory()
        for part in (file, file.with_name(f"{file.name}-wal")):  # what was written last
            if part.is_file():
                shutil.copyfile(part, Path(folder.name) / part.name)
        copied = sqlalchemy.URL.create("sqlite", database=str(Path(folder.name) / file.name))
        _COPIES[copied.render_as_string(hide_password=False)] = url, folder
        url = copied.render_as_string(hide_password=False)
    return open_storage(url, must_exist=True)


def users_url(storage: RDBStorage) -> str:
    """Return the URL that a user names the database by."""
    return _COPIES[storage.url][0] if storage.url in _COPIES else str(storage.url)


_COPIES: dict[str, tuple[str, tempfile.TemporaryDirectory[str]]] = {}
"""By their URLs those of the originals, and the folders that are removed in the end."""


def _is_writable(file: Path) -> bool:
    return os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)


def arguments_without_password(arguments: Sequence[str]) -> list[str]:
    """Return a command's arguments as they may be shown."""
    shown: list[str] = []
    for argument in arguments:
        option, is_joined, url = argument.partition("=")
        if option == "--storage" and is_joined:
            shown.append(f"{option}={without_password(url)}")
        else:
            is_url = bool(shown) and shown[-1] == "--storage"
            shown.append(without_password(argument) if is_url else argument)
    return shown


def study_lock(url: str, paths: StudyPaths) -> StudyLock:
    """Return the lock of a study: in PostgreSQL itself, which all machines see, else a file.

    Raises:
        BadInputError: The database cannot be reached.
    """
    parsed = parsed_url(url)
    if parsed.get_backend_name() == "postgresql":
        return _AdvisoryLock(parsed, paths.files)
    return FileLock(paths.lock)


class _AdvisoryLock(StudyLock):
    """A lock in PostgreSQL, let go by the server when its connection ends.

    Source: PostgreSQL 15, 13.3.5 Advisory Locks.
    """

    def __init__(self, url: sqlalchemy.URL, study: str) -> None:
        with failure_in_one_line(url.render_as_string(hide_password=True)):
            self._engine = sqlalchemy.create_engine(
                url,
                poolclass=sqlalchemy.NullPool,
                isolation_level="AUTOCOMMIT",
                connect_args=patience(url),
            )
            self._engine.connect().close()
        reconnect_(self._engine)
        digest = hashlib.sha256(f"study {study}".encode()).digest()
        self._key = int.from_bytes(digest[:8], signed=True)
        self._connections: list[sqlalchemy.Connection] = []

    def __enter__(self) -> object:
        connection = self._engine.connect()
        connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_lock(self._key)))
        self._connections.append(connection)
        return self

    def __exit__(self, *_: object) -> None:
        self._connections.pop().close()


def _share_(engine: sqlalchemy.Engine) -> None:
    """Make every transaction take SQLite's write lock at its beginning, in place; log ahead.

    Optuna claims a waiting trial by reading its state and then writing it. On SQLite two processes
    can both read before either writes: measured, one trial was claimed twice in 2 of 12 claims by
    2 processes, and in 0 of 76 with this. With a write-ahead log a commit waits for the disk once
    instead of three times, and is as safe.
    """

    @event.listens_for(engine, "connect")
    def leave_transactions_to_us(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")

    @event.listens_for(engine, "begin")
    def begin(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # connections made before have not met the first listener


def _check(engine: sqlalchemy.Engine) -> None:
    with engine.connect() as connection:
        verdict = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if verdict != "ok":
        raise RuntimeError(f"the database is damaged: {verdict}")


@contextmanager
def heartbeat(storage: RDBStorage, trial_id: int) -> Iterator[None]:
    """Give a sign of life for a running trial: at once, and from a thread while the block runs."""
    storage.record_heartbeat(trial_id)
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(storage.heartbeat_interval):
            try:
                storage.record_heartbeat(trial_id)
            except AwayError:  # who records the trial says so
                continue
            except (
                optuna.exceptions.StorageInternalError,
                sqlalchemy.exc.SQLAlchemyError,
            ) as err:  # the next beat may get through
                log.warning("A heartbeat of trial id %d was lost: %s", trial_id, first_line(err))
        storage.remove_session()

    thread = threading.Thread(target=beat, name=f"heartbeat-{trial_id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def full_disk_is_told() -> Iterator[None]:
    """Turn an error of SQLite within the block, wherever it comes out, into `DiskFullError`."""
    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as err:
        cause: BaseException | None = err
        while cause is not None and not isinstance(cause, sqlite3.Error):
            cause = cause.__cause__ or cause.__context__
        if getattr(cause, "sqlite_errorname", None) != "SQLITE_FULL":
            raise
        raise DiskFullError("No space is left for the study's database.") from err
