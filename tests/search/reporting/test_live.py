"""The report of a study that runs: how often it is written, and what it says."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait
from serving import serving
from toys import made_attributes
from waiting import wait_until

from search.reporting import live, writing
from search.storage.paths import StudyPaths
from search.storage.trial_queries import TrialQueries

SECONDS = 60


class Clock:
    """Time that stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(live.time, "monotonic", found)
    return found


def a_queue(tmp_path: Path, finished: int) -> SimpleNamespace:
    """So many finished trials, and as many as `left` says that are not."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 's.db'}")
    study = optuna.create_study(storage=storage, study_name="s")
    for _ in range(finished):
        trial = study.ask()
        for name, fact in made_attributes().items():
            trial.set_user_attr(name, fact)
        study.tell(trial, 1.0)
    queries = TrialQueries(storage, study._study_id, "worker")
    return SimpleNamespace(queries=queries, left=lambda: 0)


@pytest.mark.parametrize(("taken", "pause"), [(0.0, 5.0), (0.2, 5.0), (1.0, 20.0)])
def test_reports_are_five_seconds_apart_and_take_a_twentieth_of_the_time_at_most(
    taken: float, pause: float, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    def write(*_: object, status: str) -> None:
        clock.now += taken
        written.append(status)

    monkeypatch.setattr(writing, "write_report", write)
    queue = a_queue(tmp_path, finished=3)
    report = live.LiveReport()

    def trial_ended(left: int) -> None:
        queue.left = lambda: left
        report.trial_ended(optuna.create_study(), StudyPaths(tmp_path, "s"), queue)

    clock.now += 10
    trial_ended(left=5)
    assert written == ["Running: 3 of 8 trials are finished, about 50 s left."]
    clock.now += pause - 0.01
    trial_ended(left=4)
    assert len(written) == 1
    clock.now += 0.02
    trial_ended(left=3)
    assert len(written) == 2
    clock.now += 100
    trial_ended(left=0)  # the last report comes
    assert len(written) == 2


def test_a_study_that_runs_refreshes_its_page_and_keeps_what_the_reader_did(
    tmp_path: Path, browser: Chrome
) -> None:
    command = [sys.executable, "-m", "search.run", "--model", "cnn", "--data", "mnist5k"]
    command += ["--space", "wide", "--trials", "1000", "--epochs", "1", "--qat-epochs", "1"]
    command += ["--workers", "1", "--study", "s", "--studies-dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as study:
        try:
            wait_until(lambda: (tmp_path / "s.db").is_file() and (tmp_path / "s").is_dir())
            with serving("s", tmp_path) as address:
                browser.get(address.partition("/dashboard")[0] + "/report")
                wait_until(lambda: finished(browser) >= 1)
                first = finished(browser)
                browser.find_element(By.ID, "filter").send_keys("bits")
                WebDriverWait(browser, SECONDS).until(lambda _: finished(browser) > first)
                kept = browser.find_element(By.ID, "filter")
                assert kept.get_attribute("value") == "bits"
                severe = [each for each in browser.get_log("browser") if each["level"] == "SEVERE"]
                assert severe == []
        finally:
            study.terminate()


def finished(browser: Chrome) -> int:
    """How many trials the page says are finished; 0 where it says nothing."""
    script = "return document.getElementById('status')?.textContent ?? ''"
    words = browser.execute_script(script).split()
    return int(words[1]) if words[:1] == ["Running:"] else 0
