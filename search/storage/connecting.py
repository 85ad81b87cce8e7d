"""Connect to a database by its URL: how long to wait, what to say where it does not open."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import sqlalchemy

from models.errors import BadInputError

SQLITE_WAIT_SECONDS = 60
"""How long a transaction waits for those of other processes."""

SILENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""What libpq waits for a server that says nothing: seconds, the last milliseconds."""

STUDIES = sqlalchemy.table("studies", sqlalchemy.column("study_name", sqlalchemy.String))


def parsed_url(url: str) -> sqlalchemy.URL:
    """Return what `url` says.

    Raises:
        BadInputError: It is no URL of SQLAlchemy's; a password is not shown.
    """
    try:
        return sqlalchemy.make_url(url)
    except sqlalchemy.exc.ArgumentError as err:
        hidden = f"...@{url.rpartition('@')[2]}" if "@" in url else url  # it may be a password
        raise BadInputError(f"The storage URL {hidden!r} is none of SQLAlchemy's.") from err


def without_password(url: str) -> str:
    """Return `url` as it may be shown."""
    return parsed_url(url).render_as_string(hide_password=True)


def is_missing(url: str) -> bool:
    """Return whether `url` is that of a SQLite file that is not there."""
    parsed = parsed_url(url)
    return parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file()


def patience(url: sqlalchemy.URL) -> dict[str, int]:
    """Return how long a connection waits: for other writers, or for a server that is silent.

    Source: PostgreSQL 15, 34.1.2 Parameter Key Words; without them libpq waits for two hours.
    """
    if url.get_backend_name() == "sqlite":
        return {"timeout": SQLITE_WAIT_SECONDS}
    if not url.get_dialect().driver.startswith("psycopg"):
        return {}
    return {name: value for name, value in SILENCE.items() if name not in url.query}


def holds_study(url: str, name: str) -> bool:
    """Return whether a study of that name is in the database at `url`; makes no table.

    Raises:
        BadInputError: The database is there, but does not open.
    """
    if is_missing(url):
        return False
    with failure_in_one_line(without_password(url)):
        engine = sqlalchemy.create_engine(url, connect_args=patience(parsed_url(url)))
        try:
            with engine.connect() as connection:
                if not sqlalchemy.inspect(connection).has_table(STUDIES.name):
                    return False
                query = sqlalchemy.select(STUDIES).where(STUDIES.c.study_name == name)
                return connection.execute(query).first() is not None
        finally:
            engine.dispose()


@contextmanager
def failure_in_one_line(shown: str) -> Iterator[None]:
    """Turn what opening the storage raises in the block into `BadInputError`.

    Args:
        shown: Its URL without its password.
    """
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
        told = f"The storage {shown} does not open: {reason.splitlines()[0].rstrip('.')}."
        if isinstance(cause, sqlalchemy.exc.OperationalError) and not shown.startswith("sqlite"):
            told += " When it does, the same command goes on."
        raise BadInputError(told) from err
