"""Speed guarded by counts, which no other process on the machine changes."""

import subprocess
import sys
from pathlib import Path

import pytest
from optuna.trial import TrialState

from benchmarks.load import EmptyTrial, opened
from search.storage.study import load_study

HEAVY = ("torch", "optuna", "onnx", "pandas", "sklearn", "sqlalchemy", "numpy")
UNNEEDED = ("plotly", "mlxtend", "distributed", "selenium", "onnxscript")


@pytest.mark.parametrize(
    ("script", "modules"),
    [
        ("from search import run; run.parse(['--model', 'cnn'])", HEAVY),
        ("import search.session", UNNEEDED),
    ],
)
def test_a_command_imports_nothing_that_it_does_not_need_yet(
    script: str, modules: tuple[str, ...]
) -> None:
    told = f"{script}; import sys; print(sorted(set({modules}) & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_a_trial_sends_as_many_statements_however_many_came_before(tmp_path: Path) -> None:
    task = EmptyTrial(tmp_path, f"sqlite:///{tmp_path / 'load.db'}", trials=60)
    queue, sent = opened(task)
    counts = []
    for _ in range(60):
        before = sent.total()
        task()
        counts.append(sent.total() - before)
    queue.storage.engine.dispose()
    assert len(queue.study.get_trials(states=(TrialState.COMPLETE,))) == 60
    assert counts[-1] == counts[20] <= 70


def test_a_grid_trains_and_stores_each_stage_once(digits_study: Path) -> None:
    trials = load_study("s", f"sqlite:///{digits_study / 's.db'}").trials
    assert sum(trial.user_attrs["epochs_trained"] for trial in trials) == 2 + 2 + 1 + 1
    stages = [name for trial in trials for name in trial.user_attrs["stage_seconds"]]
    assert stages.count("export") == stages.count("measure") == len(trials) == 4
    assert len(list((digits_study / "cache").glob("*.safetensors"))) == 4
    files = sorted(path.name for path in (digits_study / "s" / "artifacts").iterdir())
    trials_files = [f"trial-000{number}{end}" for number in range(4) for end in (".onnx", ".onc")]
    assert files == sorted(["baseline.onnx", *trials_files])
    assert not list(digits_study.rglob(".*.onnx.*"))  # what is left of a write
