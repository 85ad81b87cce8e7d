import json
import multiprocessing
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy.event import listen

from models.errors import BadInputError
from objectives.errors import TrialError
from objectives.progress import SilentProgress, StopRequested
from search.sampling.sampler_choice import sampler_maker
from search.sampling.samplers import NAMES
from search.sampling.space import PaperSpace
from search.settings.config import StudyConfig
from search.storage.paths import StudyPaths
from search.storage.queue import FAILURE, MAX_ATTEMPTS, WORKER, SampledQueue, TrialQueue
from search.storage.study import load_study, open_study
from search.workers.fork_server import process_context
from search.workers.worker import run_next, work

CONFIG = StudyConfig(
    model="cnn",
    data="mnist5k",
    data_fingerprint="0",
    epochs=1,
    qat_epochs=1,
    batch_size=64,
    lr=0.01,
)
GRID = PaperSpace(CONFIG).grid()


def a_queue(folder: Path, *, heartbeat_seconds: int = 1) -> TrialQueue:
    paths = StudyPaths(folder, "toy")
    paths.make()
    study, storage, lock = open_study(
        paths, paths.url, CONFIG, heartbeat_seconds=heartbeat_seconds, threads=1
    )
    return TrialQueue(study, storage, GRID, lock)


def combinations(queue: TrialQueue, *states: TrialState) -> list[tuple[float, int]]:
    trials = queue.study.get_trials(deepcopy=False, states=states)
    return sorted((trial.params["sparsity"], trial.params["precision"]) for trial in trials)


def the_whole_grid() -> list[tuple[float, int]]:
    return sorted((params["sparsity"], int(params["precision"])) for params in GRID)


def sum_of_params(trial: optuna.Trial) -> float:
    plan = PaperSpace(CONFIG).suggest(trial)
    return plan.get("prune").sparsity + plan.get("quantize").bits


def work_on(
    queue: TrialQueue,
    objective: Callable[[optuna.Trial], float] = sum_of_params,
    **settings: object,
) -> list:
    finished: list = []
    work(queue, objective, progress=SilentProgress(), on_finished=finished.append, **settings)
    return finished


def test_a_trial_that_another_process_has_queued_meanwhile_can_be_run(tmp_path: Path) -> None:
    queue = a_queue(tmp_path)
    assert len(work_on(queue)) == 18
    a_queue(tmp_path).study.enqueue_trial({"sparsity": 0.5, "precision": 8})
    assert [trial.value for trial in work_on(queue)] == [8.5]


def test_each_combination_runs_once_and_a_second_call_runs_nothing(tmp_path: Path) -> None:
    assert len(work_on(a_queue(tmp_path))) == 18
    assert work_on(a_queue(tmp_path)) == []
    assert combinations(a_queue(tmp_path), TrialState.COMPLETE) == the_whole_grid()


def test_a_trial_that_would_wait_for_another_process_is_taken_last(tmp_path: Path) -> None:
    queue = a_queue(tmp_path)
    queue.mend()
    queue.would_wait = lambda params: params["sparsity"] < 0.9
    taken = [queue.claim() for _ in range(3)]
    queue.would_wait = lambda _: True
    taken.append(queue.claim())
    assert [GRID[trial.number]["sparsity"] for trial in taken if trial] == [0.9, 0.95, 0.99, 0.0]


def test_trials_are_counted_without_a_look_at_each(tmp_path: Path) -> None:
    queue = a_queue(tmp_path)
    queue.mend()
    asked: list[str] = []
    listen(queue.storage.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    assert queue.queries.total() == len(GRID)
    assert queue.queries.count(TrialState.WAITING, TrialState.RUNNING) == len(GRID)
    queue.queries.waiting()
    (database,) = tmp_path.glob("*.db")
    plans = [explain(database, query) for query in asked if query.startswith("SELECT")]
    assert len(plans) == 3
    assert not [plan for plan in plans if "SCAN" in plan or "TEMP B-TREE" in plan]
    assert "ix_trials_by_state" in plans[1]
    assert "ix_trials_by_state" in plans[2]


def explain(database: Path, query: str) -> str:
    """Return how SQLite answers `query`."""
    with sqlite3.connect(database) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {query}", [None] * query.count("?"))
        return "; ".join(row[3] for row in rows)


def test_a_sampler_stays_within_the_grid() -> None:
    config = replace(CONFIG, sparsity=(0.5, 0.9, 0.8), precision=(8, 4))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    plans = [PaperSpace(config).suggest(study.ask()) for _ in range(30)]
    assert {plan.get("quantize").bits for plan in plans} == {8, 4}
    assert all(0.5 <= plan.get("prune").sparsity <= 0.9 for plan in plans)


def test_at_most_so_many_trials_and_then_the_rest(tmp_path: Path) -> None:
    assert len(work_on(a_queue(tmp_path), max_trials=5)) == 5
    assert work_on(a_queue(tmp_path), timeout_seconds=0) == []
    assert len(work_on(a_queue(tmp_path))) == 13


def test_a_trial_that_cannot_be_scored_fails_with_its_reason_and_the_study_goes_on(
    tmp_path: Path,
) -> None:
    def diverge_at_half(trial: optuna.Trial) -> float:
        value = sum_of_params(trial)
        if trial.params["sparsity"] == 0.5:
            raise TrialError("The loss became nan.")
        return value

    queue = a_queue(tmp_path)
    assert len(work_on(queue, diverge_at_half)) == 18
    failed = queue.study.get_trials(states=(TrialState.FAIL,))
    assert [trial.user_attrs[FAILURE] for trial in failed] == ["The loss became nan."] * 3
    assert len(combinations(queue, TrialState.COMPLETE)) == 15
    assert work_on(queue, diverge_at_half) == []  # it is not tried again


@pytest.mark.parametrize("interruption", [StopRequested, ZeroDivisionError, KeyboardInterrupt])
def test_an_interrupted_trial_goes_back_into_the_queue(
    tmp_path: Path, interruption: type[BaseException]
) -> None:
    def interrupted(trial: optuna.Trial) -> float:
        sum_of_params(trial)
        raise interruption

    queue = a_queue(tmp_path)
    with pytest.raises(interruption):
        work_on(queue, interrupted)
    assert len(queue.study.get_trials(states=(TrialState.WAITING,))) == 18
    assert len(work_on(queue)) == 18
    assert len(queue.study.trials) == 18


def test_a_trial_whose_worker_died_is_failed_and_its_combination_queued_again(
    tmp_path: Path,
) -> None:
    queue = a_queue(tmp_path)
    queue.mend()
    dead = queue.claim()
    assert dead is not None
    queue.storage.record_heartbeat(dead._trial_id)
    queue.mend()
    assert dead.number not in [
        trial.number for trial in queue.study.get_trials(states=(TrialState.FAIL,))
    ]
    make_older(queue, "trial_heartbeats", "heartbeat", seconds=3600)
    assert len(work_on(queue)) == 18
    assert queue.study.trials[dead.number].state == TrialState.FAIL
    assert combinations(queue, TrialState.COMPLETE) == the_whole_grid()


def test_a_trial_claimed_by_a_worker_that_died_before_its_first_heartbeat_is_not_lost(
    tmp_path: Path,
) -> None:
    queue = a_queue(tmp_path)
    queue.mend()
    dead = queue.claim()
    assert dead is not None
    queue.mend()
    assert queue.study.trials[dead.number].state == TrialState.RUNNING  # it may be alive
    make_older(queue, "trials", "datetime_start", seconds=3600)
    assert len(work_on(queue)) == 18
    assert queue.study.trials[dead.number].state == TrialState.FAIL
    assert combinations(queue, TrialState.COMPLETE) == the_whole_grid()


def claim_as(queue: TrialQueue, worker: str) -> int | None:
    """Claim a trial in the name of `worker`."""
    trial = queue.claim()
    if trial is None:
        return None
    trial.set_user_attr(WORKER, worker)
    return trial.number


def test_what_a_worker_says_that_was_taken_for_dead_is_refused(tmp_path: Path) -> None:
    queue = a_queue(tmp_path)

    def objective(trial: optuna.Trial) -> float:
        queue.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        return 1.0

    assert run_next(queue, objective) is None
    assert queue.study.trials[0].state == TrialState.FAIL
    assert queue.study.trials[0].values is None


def test_a_combination_that_kills_every_worker_is_given_up_and_says_so(tmp_path: Path) -> None:
    queue = a_queue(tmp_path)
    queue.mend()
    alive = claim_as(queue, "here:1")
    for _ in range(MAX_ATTEMPTS):
        killer = claim_as(queue, "here:2")
        while claim_as(queue, "here:3") is not None:
            pass
        assert queue.bury({"here:2"}, "It died.") == 1
        for trial in queue.study.get_trials(states=(TrialState.RUNNING,)):
            if trial.user_attrs[WORKER] == "here:3":
                queue.storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [0.0])
    assert killer is not None
    failed = queue.study.get_trials(states=(TrialState.FAIL,))
    assert len(failed) == MAX_ATTEMPTS
    reasons = [trial.user_attrs.get(FAILURE) for trial in failed]
    assert reasons == [None, None, "It died. It was tried 3 times."]
    assert alive is not None
    queue.study.tell(alive, 0.0)
    assert work_on(queue) == []
    assert len(queue.study.trials) == 17 + MAX_ATTEMPTS


def make_older(queue: TrialQueue, table: str, column: str, *, seconds: int) -> None:
    """Move a time stamp of all running trials into the past: nobody waits for a real hour."""
    then = (datetime.now() - timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S.%f")
    where = "state = 'RUNNING'" if table == "trials" else "1 = 1"
    with queue.storage.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {table} SET {column} = '{then}' WHERE {where}")


def _claim_all(folder: Path, barrier: threading.Barrier, claimed: multiprocessing.Queue) -> None:
    queue = a_queue(folder)
    numbers = []
    barrier.wait()
    while (trial := queue.claim()) is not None:
        numbers.append(trial.number)
    claimed.put(numbers)


def test_workers_that_claim_at_the_same_instant_get_different_trials(tmp_path: Path) -> None:
    a_queue(tmp_path).mend()
    forked = process_context(gpus=False)
    barrier, claimed = forked.Barrier(4), forked.Queue()
    workers = [
        forked.Process(target=_claim_all, args=(tmp_path, barrier, claimed)) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    numbers = sorted(number for _ in workers for number in claimed.get(timeout=60))
    for worker in workers:
        worker.join()
    assert numbers == list(range(18))


def _open(folder: Path, barrier: threading.Barrier, opened: multiprocessing.Queue) -> None:
    barrier.wait()
    queue = a_queue(folder)
    queue.mend()
    opened.put(queue.study._study_id)


def test_two_processes_that_create_a_study_at_once_share_it(tmp_path: Path) -> None:
    forked = process_context(gpus=False)
    barrier, opened = forked.Barrier(2), forked.Queue()
    openers = [forked.Process(target=_open, args=(tmp_path, barrier, opened)) for _ in range(2)]
    for opener in openers:
        opener.start()
    assert len({opened.get(timeout=60) for _ in openers}) == 1
    for opener in openers:
        opener.join()
    assert len(a_queue(tmp_path).study.trials) == 18


def test_a_study_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    a_queue(tmp_path)
    paths = StudyPaths(tmp_path, "toy")
    assert load_study("toy", paths.url).study_name == "toy"
    with pytest.raises(BadInputError, match=r"There is no study 'toi'\. Known: toy"):
        load_study("toi", paths.url)
    with pytest.raises(BadInputError, match=r"toi\.db is not there"):
        load_study("toi", StudyPaths(tmp_path, "toi").url)


def test_a_study_keeps_the_threads_that_it_began_with(tmp_path: Path) -> None:
    paths = StudyPaths(tmp_path, "toy")
    paths.make()

    def threads(asked: int | None, here: int) -> int | None:
        config = replace(CONFIG, threads=asked)
        study, *_ = open_study(paths, paths.url, config, heartbeat_seconds=5, threads=here)
        return StudyConfig.from_json(study.user_attrs["config"]).threads

    assert threads(None, 2) == 2
    assert threads(None, 8) == 2
    assert threads(2, 8) == 2
    with pytest.raises(BadInputError, match=r"with other settings: threads 2 \(now 3\)"):
        threads(3, 8)


def test_a_study_that_was_made_without_a_number_of_threads_gets_one(tmp_path: Path) -> None:
    paths = StudyPaths(tmp_path, "toy")
    paths.make()
    old = optuna.create_study(study_name="toy", storage=paths.url, direction="maximize")
    settings = json.loads(CONFIG.to_json())
    del settings["threads"]
    old.set_user_attr("config", json.dumps(settings))
    asked = replace(CONFIG, threads=3)
    study, *_ = open_study(paths, paths.url, asked, heartbeat_seconds=5, threads=2)
    assert StudyConfig.from_json(study.user_attrs["config"]) == asked


def test_a_study_of_somebody_elses_is_neither_read_nor_gone_on_with(tmp_path: Path) -> None:
    paths = StudyPaths(tmp_path, "theirs")
    theirs = optuna.create_study(study_name="theirs", storage=paths.url)
    theirs.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    line = "Study 'theirs' was not made by search.run"
    with pytest.raises(BadInputError, match=line):
        load_study("theirs", paths.url)
    with pytest.raises(BadInputError, match=line):
        open_study(paths, paths.url, CONFIG, heartbeat_seconds=5, threads=1)
    assert not optuna.load_study(study_name="theirs", storage=paths.url).user_attrs


def a_sampled_queue(folder: Path, sampler: str, total: int) -> SampledQueue:
    base = a_queue(folder)
    make = sampler_maker(sampler, CONFIG.seed)
    return SampledQueue(base.study, base.storage, base._lock, total=total, make_sampler=make)


@pytest.mark.parametrize("sampler", NAMES)
def test_a_sampler_goes_on_after_the_grid_until_the_study_has_enough(
    tmp_path: Path, sampler: str
) -> None:
    work_on(a_queue(tmp_path))
    queue = a_sampled_queue(tmp_path, sampler, 24)
    assert queue.left() == 6
    assert len(work_on(queue)) == 6
    assert work_on(a_sampled_queue(tmp_path, sampler, 24)) == []
    assert len(work_on(a_sampled_queue(tmp_path, "random", 25))) == 1  # another sampler may go on
    sampled = [trial.params["sparsity"] for trial in queue.study.trials[18:]]
    assert len(set(sampled)) > 1


def test_a_sampler_sees_the_trials_that_are_there_when_it_is_asked(tmp_path: Path) -> None:
    seen = []

    class Seeing(optuna.samplers.RandomSampler):
        def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            seen.append(len(study._get_trials(deepcopy=False, use_cache=True)))

    base = a_queue(tmp_path)
    queue = SampledQueue(
        base.study, base.storage, base._lock, total=3, make_sampler=lambda _: Seeing()
    )
    while queue.next() is not None:
        pass
    assert seen == [1, 2, 3]


def test_a_resumed_search_samples_what_an_undisturbed_one_does(tmp_path: Path) -> None:
    for folder, parts in ((tmp_path / "one", [14]), (tmp_path / "two", [3, 11, 14])):
        for total in parts:
            work_on(a_sampled_queue(folder, "tpe", total))
    params = [
        [trial.params for trial in a_queue(tmp_path / name).study.trials]
        for name in ("one", "two")
    ]
    assert params[0] == params[1]
    assert len(params[0]) == 14


def _sample(folder: Path, barrier: threading.Barrier) -> None:
    queue = a_sampled_queue(folder, "tpe", 20)
    barrier.wait()
    work_on(queue)


def test_workers_side_by_side_sample_no_trial_too_many_and_none_twice(tmp_path: Path) -> None:
    a_queue(tmp_path)
    forked = process_context(gpus=False)
    barrier = forked.Barrier(3)
    workers = [forked.Process(target=_sample, args=(tmp_path, barrier)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    trials = a_queue(tmp_path).study.trials
    assert len(trials) == 20
    assert len({tuple(trial.params.values()) for trial in trials}) == 20
