from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState
from stub_study import OPENED, StubTask

from search.storage.queue import TrialQueue
from search.storage.trial_queries import Running, Vigil

GRACE = timedelta(seconds=30)


def running(heartbeat: datetime, *, age_seconds: float) -> Running:
    age = timedelta(seconds=age_seconds)
    return Running(
        trial_id=1, number=0, started=None, heartbeat=heartbeat, age=age, worker='"here:1"'
    )


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock that nobody sets: its one item is the time."""
    now = [100.0]
    monkeypatch.setattr("search.storage.trial_queries.time.monotonic", lambda: now[0])
    return now


@pytest.mark.faults
def test_a_worker_is_dead_when_its_heartbeat_is_older_than_the_grace_period() -> None:
    vigil = Vigil(GRACE)
    assert vigil.dead([running(datetime(2026, 1, 1), age_seconds=30)]) == []
    late = running(datetime(2026, 1, 1), age_seconds=31)
    assert vigil.dead([late]) == [late]


@pytest.mark.faults
def test_a_clock_that_was_set_back_keeps_no_dead_worker_alive(monotonic: list[float]) -> None:
    vigil = Vigil(GRACE)
    from_the_future = running(datetime(2030, 1, 1), age_seconds=-3600)
    assert vigil.dead([from_the_future]) == []
    monotonic[0] += 31
    assert vigil.dead([from_the_future]) == [from_the_future]


@pytest.mark.faults
def test_a_worker_that_gives_signs_of_life_lives_whatever_they_are_dated(
    monotonic: list[float],
) -> None:
    vigil = Vigil(GRACE)
    for minute in range(5):
        assert vigil.dead([running(datetime(2030, 1, 1, 0, minute), age_seconds=-3600)]) == []
        monotonic[0] += 29


ATTRIBUTES = st.dictionaries(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30),
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=30)
    ),
    max_size=8,
)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[TrialQueue]:
    opened = StubTask(tmp_path, f"sqlite:///{tmp_path / 'stub.db'}", count=0).queue()
    yield opened
    OPENED.clear()
    opened.storage.remove_session()
    opened.storage.engine.dispose()


@given(first=ATTRIBUTES, second=ATTRIBUTES)
@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_recorded_attributes_are_what_optuna_reads_and_a_second_record_wins(
    queue: TrialQueue, first: dict[str, object], second: dict[str, object]
) -> None:
    trial = queue.study.ask()
    queue.queries.record(trial._trial_id, first)
    queue.queries.record(trial._trial_id, second)
    assert queue.storage.get_trial(trial._trial_id).user_attrs == first | second
    queue.study.tell(trial, state=TrialState.FAIL)
