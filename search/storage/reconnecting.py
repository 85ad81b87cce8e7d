"""Wait for a database server that is restarted instead of losing a trial over it, not for ever."""

import functools
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

import optuna
import sqlalchemy
from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy import event

from models.errors import first_line
from objectives.errors import AwayError

log = logging.getLogger(__name__)

AWAY_SECONDS = 120
"""How long a server may be away."""
RETRY_SECONDS = 1.0


_AWAY_SINCE: dict[str, float] = {}
"""When each server that is away was missed first, by a clock that nobody sets."""


def reconnect_(engine: sqlalchemy.Engine) -> None:
    """Make `engine` try again while its server is away, in place; its first connection has worked.

    With `pool_pre_ping` a connection that the server has closed is replaced before it is used. A
    server that stays away too long is an `AwayError`, at once for whoever asks from then on.
    """
    server = engine.url.render_as_string(hide_password=True)

    @event.listens_for(engine, "do_connect")
    def connect(
        dialect: sqlalchemy.Dialect, _: object, arguments: list[Any], options: dict[str, Any]
    ) -> object:
        while True:
            try:
                connection = dialect.connect(*arguments, **options)
            except dialect.loaded_dbapi.OperationalError as err:
                reason = first_line(err)
                if server not in _AWAY_SINCE:
                    log.warning("The database is away, and is waited for: %s", reason)
                since = _AWAY_SINCE.setdefault(server, time.monotonic())
                if time.monotonic() - since > AWAY_SECONDS:
                    raise _away(server, reason) from err
                time.sleep(RETRY_SECONDS)
            else:
                _AWAY_SINCE.pop(server, None)
                return connection


def _away(server: str, reason: str) -> AwayError:
    return AwayError(
        f"The database {server} stays away, for {AWAY_SECONDS:g} s now: {reason.rstrip('.')}. "
        "Nothing that was finished is lost."
    )


Method = TypeVar("Method", bound=Callable[..., Any])


def reconnecting(method: Method) -> Method:
    """Make `method` do again what a lost connection has cut off: twice must be as good as once.

    Raises:
        AwayError: By the method, if its connections are lost again and again.
    """

    @functools.wraps(method)
    def call(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - any method's
        deadline = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                return method(*arguments, **options)
            except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.DBAPIError) as err:
                if not _is_lost_connection(err):
                    raise
                if time.monotonic() > deadline:
                    raise _away("of the study", first_line(err.__cause__ or err)) from err
                time.sleep(RETRY_SECONDS)

    return call  # type: ignore[return-value] # it has the signature of `method`


def _is_lost_connection(err: BaseException | None) -> bool:
    if isinstance(err, optuna.exceptions.StorageInternalError):
        err = err.__cause__
    return isinstance(err, sqlalchemy.exc.DBAPIError) and err.connection_invalidated


class ReconnectingStorage(RDBStorage):
    """Does again what a lost connection has cut off.

    Where the server had done it already and only its answer was lost, a second time is harmless:
    a claim or a new trial that nobody knows of is given up like that of a dead worker, and a
    trial that has ended refuses to end again.
    """


OF_THE_CACHE = (
    "_create_new_trial",
    "_get_best_trial_id",
    "_get_stale_trial_ids",
    "_get_trials",
    "_set_trial_param",
    "get_trial_id_from_study_id_trial_number",
    "record_heartbeat",
)
"""What Optuna's cache of a database asks of it beside the methods of every storage."""

for _name in (*BaseStorage.__abstractmethods__, *OF_THE_CACHE):
    setattr(ReconnectingStorage, _name, reconnecting(getattr(RDBStorage, _name)))
