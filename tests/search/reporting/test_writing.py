import shutil
from pathlib import Path

import optuna
import pytest
from optuna.trial import create_trial

from search.reporting import writing
from search.results.front import chosen_trial
from search.results.table import StudyTable
from search.storage.paths import StudyPaths
from search.storage.study import load_study


def test_a_better_trial_that_another_host_finishes_meanwhile_is_in_the_next_report(
    digits_study: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "studies"
    shutil.copytree(digits_study, folder, ignore=shutil.ignore_patterns("cache", "artifact-store"))
    paths = StudyPaths(folder, "s")
    study = load_study("s", paths.url)
    best = chosen_trial(study)
    assert best is not None
    better = create_trial(
        value=(best.value or 0) + 1,
        params=best.params,
        distributions=best.distributions,
        user_attrs=best.user_attrs | {"shipped_bytes": 1000, "artifact_bytes": 1000},
    )

    def table_and_then_a_trial(read: optuna.Study) -> StudyTable:
        table = StudyTable(read)
        load_study("s", paths.url).add_trial(better)
        return table

    monkeypatch.setattr(writing, "StudyTable", table_and_then_a_trial)
    writing.show_report(study, paths)
    assert f"Take trial {best.number} " in capsys.readouterr().out
    monkeypatch.undo()
    writing.show_report(study, paths)
    assert "Take trial 4 " in capsys.readouterr().out
