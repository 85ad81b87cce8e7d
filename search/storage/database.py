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

from models.errors import BadInputError
from objectives.errors import DiskFullError
from search.storage.paths import StudyPaths
from search.storage.reconnecting import ReconnectingStorage, reconnect_

log = logging.getLogger(__name__)

MISSED_HEARTBEATS = 6
"""A trial that was silent for this many heartbeats counts as dead."""

SQLITE_WAIT_SECONDS = 60
"""How long a transaction waits for those of other processes."""


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
    parsed = _parsed(url)
    shown = without_password(url)
    is_sqlite = parsed.get_backend_name() == "sqlite"
    if is_sqlite and parsed.database in {None, "", ":memory:"}:
        raise BadInputError(
            f"The storage {shown} names no file: a study must outlast its process."
        )
    if must_exist and is_sqlite and not Path(parsed.database or "").is_file():
        raise BadInputError(f"The storage {shown} is not there.")
    with _failure_in_one_line(shown):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            storage = ReconnectingStorage(
                url,
                engine_kwargs=(
                    {"connect_args": {"timeout": SQLITE_WAIT_SECONDS}}
                    if is_sqlite
                    else {"pool_pre_ping": True}
                ),
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
    parsed = _parsed(url)
    file = Path(parsed.database or "")
    if parsed.get_backend_name() == "sqlite" and file.is_file() and not _is_writable(file):
        folder = tempfile.TemporaryDirectory()
        _COPIES.append(folder)
        for part in (file, file.with_name(f"{file.name}-wal")):  # what was written last
            if part.is_file():
                shutil.copyfile(part, Path(folder.name) / part.name)
        copied = sqlalchemy.URL.create("sqlite", database=str(Path(folder.name) / file.name))
        url = copied.render_as_string(hide_password=False)
    return open_storage(url, must_exist=True)


_COPIES: list[tempfile.TemporaryDirectory[str]] = []


def _is_writable(file: Path) -> bool:
    return os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)


def without_password(url: str) -> str:
    """Return `url` as it may be shown."""
    return _parsed(url).render_as_string(hide_password=True)


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


def _parsed(url: str) -> sqlalchemy.URL:
    try:
        return sqlalchemy.make_url(url)
    except sqlalchemy.exc.ArgumentError as err:
        hidden = f"...@{url.rpartition('@')[2]}" if "@" in url else url  # it may be a password
        raise BadInputError(f"The storage URL {hidden!r} is none of SQLAlchemy's.") from err


@contextmanager
def _failure_in_one_line(shown: str) -> Iterator[None]:
    try:
        yield
    except (
        sqlalchemy.exc.SQLAlchemyError,
        optuna.exceptions.StorageInternalError,
        ImportError,
        RuntimeError,
    ) as err:
        cause = err.__cause__ if isinstance(err, optuna.exceptions.StorageInternalError) else err
        reason = str(cause.orig) if isinstance(cause, sqlalchemy.exc.DBAPIError) else str(cause)
        raise BadInputError(
            f"The storage {shown} does not open: {reason.splitlines()[0]}."
        ) from err


def study_lock(url: str, paths: StudyPaths) -> StudyLock:
    """Return the lock of a study: in PostgreSQL itself, which all machines see, else a file.

    Raises:
        BadInputError: The database cannot be reached.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "postgresql":
        return _AdvisoryLock(parsed, paths.files)
    return FileLock(paths.lock)


class _AdvisoryLock(StudyLock):
    """A lock in PostgreSQL, let go by the server when its connection ends.

    Source: PostgreSQL 15, 13.3.5 Advisory Locks.
    """

    def __init__(self, url: sqlalchemy.URL, study: str) -> None:
        with _failure_in_one_line(url.render_as_string(hide_password=True)):
            self._engine = sqlalchemy.create_engine(
                url, poolclass=sqlalchemy.NullPool, isolation_level="AUTOCOMMIT"
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
            except sqlalchemy.exc.SQLAlchemyError as err:  # the next beat may get through
                log.warning("A heartbeat of trial id %d was lost: %s", trial_id, err)
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
