"""What workers ask and tell the database, in one query whose cost does not grow with the trials.

Optuna reads every unfinished trial whole to answer any of these: with 1,000 waiting ones a worker
spends 130 ms on finding its next trial, here 0.8 (`python -m benchmarks.weighed trial_queries`);
and it takes 28 transactions to keep what a trial has measured, here one.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import DateTime, Enum, Integer, String, column, func, select

from search.storage.reconnecting import reconnecting

TRIALS = sqlalchemy.table(
    "trials",
    column("trial_id", Integer),
    column("number", Integer),
    column("study_id", Integer),
    column("state", Enum(TrialState)),
    column("datetime_start", DateTime),
)
HEARTBEATS = sqlalchemy.table(
    "trial_heartbeats", column("trial_id", Integer), column("heartbeat", DateTime)
)
ATTRIBUTES, SYSTEM_ATTRIBUTES = (
    sqlalchemy.table(
        f"trial_{whose}_attributes",
        column("trial_id", Integer),
        column("key", String),
        column("value_json", String),
    )
    for whose in ("user", "system")
)

INDEX = "CREATE INDEX IF NOT EXISTS ix_trials_by_state ON trials (study_id, state, number)"
"""Beside Optuna's own: without it, counting trials of a state looks at each trial."""

CANDIDATES = 8
"""Waiting trials that are looked at in one query: others may claim the first of them meanwhile."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A trial that waits for a worker."""

    trial_id: int
    params: dict[str, float]
    """Those that it was queued with."""


def add_index_(engine: sqlalchemy.Engine) -> None:
    """Make what the queries below need to be quick among many trials; under the study's lock."""
    with engine.begin() as connection:
        connection.exec_driver_sql(INDEX)


@dataclass(frozen=True, slots=True)
class Running:
    """A running trial and its sign of life."""

    trial_id: int
    number: int
    started: datetime | None
    """By the clock of its worker."""
    heartbeat: datetime | None
    """By the clock of the database; None before the first."""
    age: timedelta | None
    """Time since the heartbeat by the clock of the database."""
    worker: str | None
    """JSON of the user attribute that names its process."""


class TrialQueries:
    """Reads the states of one study's trials, and writes what they have measured.

    Args:
        storage: Its database.
        study_id: The study in it.
        worker_attribute: User attribute of a trial that names its worker.
    """

    def __init__(self, storage: RDBStorage, study_id: int, worker_attribute: str) -> None:
        self._engine = storage.engine
        self._of_study = TRIALS.c.study_id == study_id
        self._worker_attribute = worker_attribute

    def total(self) -> int:
        """Return how many trials the study has: one more than the number of the last."""
        query = select(TRIALS.c.number).where(self._of_study)
        rows = self._rows(query.order_by(TRIALS.c.trial_id.desc()).limit(1))
        return rows[0][0] + 1 if rows else 0

    def count(self, *states: TrialState) -> int:
        """Return how many trials are in one of `states`; looks at each of these only."""
        query = select(func.count()).select_from(TRIALS)
        query = query.where(self._of_study, TRIALS.c.state.in_(states))
        return int(self._rows(query)[0][0])

    def waiting(self) -> list[Waiting]:
        """Return the waiting trials that come first."""
        fixed = sqlalchemy.and_(
            SYSTEM_ATTRIBUTES.c.trial_id == TRIALS.c.trial_id,
            SYSTEM_ATTRIBUTES.c.key == "fixed_params",
        )
        query = select(TRIALS.c.trial_id, SYSTEM_ATTRIBUTES.c.value_json)
        query = query.select_from(TRIALS.outerjoin(SYSTEM_ATTRIBUTES, fixed))
        query = query.where(self._of_study, TRIALS.c.state == TrialState.WAITING)
        query = query.order_by(TRIALS.c.number).limit(CANDIDATES)
        return [
            Waiting(trial_id, json.loads(params or "{}")) for trial_id, params in self._rows(query)
        ]

    def failed_with(self, attribute: str) -> int:
        """Return how many failed trials have a user attribute of that name."""
        query = select(func.count()).select_from(
            TRIALS.join(ATTRIBUTES, ATTRIBUTES.c.trial_id == TRIALS.c.trial_id)
        )
        query = query.where(
            self._of_study, TRIALS.c.state == TrialState.FAIL, ATTRIBUTES.c.key == attribute
        )
        return int(self._rows(query)[0][0])

    def having(self, attribute: str) -> int:
        """Return how many trials have a user attribute of that name."""
        query = select(func.count()).select_from(
            TRIALS.join(ATTRIBUTES, ATTRIBUTES.c.trial_id == TRIALS.c.trial_id)
        )
        return int(self._rows(query.where(self._of_study, ATTRIBUTES.c.key == attribute))[0][0])

    def running(self) -> list[Running]:
        """Return the running trials."""
        named = ATTRIBUTES.c.key == self._worker_attribute
        joined = TRIALS.outerjoin(HEARTBEATS, HEARTBEATS.c.trial_id == TRIALS.c.trial_id)
        joined = joined.outerjoin(
            ATTRIBUTES, sqlalchemy.and_(ATTRIBUTES.c.trial_id == TRIALS.c.trial_id, named)
        )
        query = select(
            TRIALS.c.trial_id,
            TRIALS.c.number,
            TRIALS.c.datetime_start,
            HEARTBEATS.c.heartbeat,
            func.now(type_=DateTime),
            ATTRIBUTES.c.value_json,
        )
        query = query.select_from(joined).where(
            self._of_study, TRIALS.c.state == TrialState.RUNNING
        )
        return [
            Running(
                trial_id=trial_id,
                number=number,
                started=started,
                heartbeat=heartbeat,
                age=None if heartbeat is None else now.replace(tzinfo=None) - heartbeat,
                worker=worker,
            )
            for trial_id, number, started, heartbeat, now, worker in self._rows(query)
        ]

    @reconnecting
    def record(self, trial_id: int, attributes: Mapping[str, Any]) -> None:
        """Set user attributes of a running trial, all in one transaction.

        Optuna takes one transaction for each: 28 of a trial of the paper's grid.
        """
        of_trial = ATTRIBUTES.c.trial_id == trial_id
        rows = [
            {"trial_id": trial_id, "key": name, "value_json": json.dumps(value)}
            for name, value in attributes.items()
        ]
        with self._engine.begin() as connection:
            connection.execute(
                sqlalchemy.delete(ATTRIBUTES).where(of_trial, ATTRIBUTES.c.key.in_(attributes))
            )
            if rows:
                connection.execute(sqlalchemy.insert(ATTRIBUTES), rows)

    @reconnecting
    def _rows(self, query: sqlalchemy.Executable) -> Sequence[Any]:
        with self._engine.connect() as connection:
            return connection.execute(query).all()


class Vigil:
    """Finds the running trials whose worker is dead, whatever clocks do.

    Dead is who has been silent for the grace period by the database's clock; or by the clock of
    this process that nobody sets, so that a clock set back keeps no dead worker alive. A living
    worker that is taken for dead, as after a clock was set forward, does no harm: its trial is
    run again, and what it says of the old one is refused.

    Args:
        grace: How long a worker may be silent.
    """

    def __init__(self, grace: timedelta) -> None:
        self._grace = grace
        self._seen: dict[int, tuple[datetime | None, float]] = {}

    def dead(self, running: Sequence[Running]) -> list[Running]:
        """Return those of `running` that are dead; called again and again, it notices silence."""
        now = time.monotonic()
        seen = {trial.trial_id: self._seen.get(trial.trial_id) for trial in running}
        self._seen = {
            trial.trial_id: (
                before
                if (before := seen[trial.trial_id]) is not None and before[0] == trial.heartbeat
                else (trial.heartbeat, now)
            )
            for trial in running
        }
        return [trial for trial in running if self._is_dead(trial, now)]

    def _is_dead(self, trial: Running, now: float) -> bool:
        silent = timedelta(seconds=now - self._seen[trial.trial_id][1])
        age = trial.age
        if age is None and trial.worker is None and trial.started is not None:
            age = datetime.now() - trial.started  # died between its claim and its first heartbeat
        return silent > self._grace or (age is not None and age > self._grace)
