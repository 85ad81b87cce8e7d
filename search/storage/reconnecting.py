"""Wait for a database server that is restarted, instead of losing a trial over it."""

import functools
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

import optuna
import sqlalchemy
from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy import event

log = logging.getLogger(__name__)

AWAY_SECONDS = 120
"""How long a server may be away."""
RETRY_SECONDS = 1.0


def reconnect_(engine: sqlalchemy.Engine) -> None:
    """Make `engine` try again while its server is away, in place; its first connection has worked.

    With `pool_pre_ping` a connection that the server has closed is replaced before it is used.
    """

    @event.listens_for(engine, "do_connect")
    def connect(
        dialect: sqlalchemy.Dialect, _: object, arguments: list[Any], options: dict[str, Any]
    ) -> object:
        deadline = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                return dialect.connect(*arguments, **options)
            except dialect.loaded_dbapi.OperationalError as err:
                if time.monotonic() > deadline:
                    raise
                log.warning("The database is away: %s", str(err).splitlines()[0])
                time.sleep(RETRY_SECONDS)


Method = TypeVar("Method", bound=Callable[..., Any])


def reconnecting(method: Method) -> Method:
    """Make `method` do again what a lost connection has cut off: twice must be as good as once."""

    @functools.wraps(method)
    def call(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - any method's
        deadline = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                return method(*arguments, **options)
            except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.DBAPIError) as err:
                if not _is_lost_connection(err) or time.monotonic() > deadline:
                    raise
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
