"""The command line from outside, on few epochs of real digits."""

import csv
import errno
import hashlib
import json
import re
import signal
import socket
import sqlite3
import time
from pathlib import Path

import optuna
import pytest
from commands import in_folder, start, wait_for_line
from optuna.trial import TrialState
from waiting import wait_until

from objectives.artifact.sizes import gzip_bytes
from search import report, run
from search.storage.study import load_study

FAST = ("--model", "cnn", "--data", "mnist5k", "--epochs", "1", "--qat-epochs", "1")
FAST += ("--workers", "1")
SMALL = (*FAST, "--sparsity", "0,0.9", "--precision", "32,8")
NAME = "cnn-mnist5k-paper"
EIGHT = (*FAST, "--sparsity", "0,0.5,0.75,0.9", "--precision", "32,8")
GRID = {(sparsity, bits) for sparsity in (0.0, 0.5, 0.75, 0.9) for bits in (32, 8)}


def stored_study(folder: Path) -> optuna.Study:
    return load_study(NAME, f"sqlite:///{folder / NAME}.db")


def runs_trial_after(folder: Path, number: int) -> bool:
    running = stored_study(folder).get_trials(states=(TrialState.RUNNING,))
    return any(trial.number > number for trial in running)


def finished(folder: Path) -> list[tuple[float, int]]:
    trials = stored_study(folder).get_trials(states=(TrialState.COMPLETE,))
    return [(trial.params["sparsity"], trial.params["precision"]) for trial in trials]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of four combinations."""
    folder = tmp_path_factory.mktemp("small")
    assert run.main(in_folder(folder, *SMALL)) == 0
    return folder


def test_every_trial_carries_its_named_attributes(small: Path) -> None:
    for trial in stored_study(small).trials:
        facts = trial.user_attrs
        artifact = small / facts["artifact"]
        baseline = small / NAME / "artifacts" / "baseline.onnx"
        assert facts["artifact"] == f"{NAME}/artifacts/trial-{trial.number:04d}.onnx"
        assert facts["artifact_bytes"] == gzip_bytes(artifact.read_bytes())
        assert facts["artifact_raw_bytes"] == artifact.stat().st_size
        assert facts["baseline_bytes"] == gzip_bytes(baseline.read_bytes())
        assert facts["reduction_factor"] == facts["baseline_bytes"] / facts["artifact_bytes"]
        assert facts["baseline_checkpoint_bytes"] > 2 * facts["baseline_bytes"]
        assert facts["seed"] == 0
        assert {"torch", "optuna", "onnxruntime"} <= facts["versions"].keys()
        assert {"train", "export", "measure"} <= facts["stage_seconds"].keys()
        assert "train" in facts["stage_keys"]
        assert facts["latency_ms"] > 0
        assert trial.value == facts["quality"]
        assert {"val_accuracy_pct", "test_accuracy_pct", "saving"} <= facts.keys()
        assert {"val_delta_pct", "test_delta_pct", "epochs_trained"} <= facts.keys()


def test_sparsity_is_measured_in_the_file(small: Path) -> None:
    for trial in stored_study(small).trials:
        assert trial.user_attrs["measured_sparsity"] == pytest.approx(
            trial.params["sparsity"], abs=0.01
        )


def test_a_second_run_trains_nothing_and_prints_the_same_table(
    small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*_: object, **__: object) -> None:
        raise AssertionError("A finished study trained.")

    for importer in ("objectives.training.loop", "objectives.stages.train"):
        monkeypatch.setattr(f"{importer}.train_", train)
    before = stored_study(small).trials
    assert run.main(in_folder(small, *SMALL)) == 0
    assert stored_study(small).trials == before
    out = capsys.readouterr().out
    assert "trial 0:" not in out
    assert len(re.findall(r"^ +\d+ +(?:0|90) % +(?:32|8) ", out, re.MULTILINE)) == 4


def test_another_study_trains_nothing_that_is_cached(small: Path) -> None:
    arguments = (*SMALL, "--study", "other", "--objective", "saving")
    assert run.main(in_folder(small, *arguments)) == 0
    study = load_study("other", f"sqlite:///{small / 'other.db'}")
    assert [trial.user_attrs["epochs_trained"] for trial in study.trials] == [0] * 4
    assert [trial.value for trial in study.trials] == [
        trial.user_attrs["saving"] for trial in study.trials
    ]


def test_a_resume_with_other_settings_is_refused(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(in_folder(small, *SMALL, "--lr", "0.1", "--allocation", "global")) == 2
    line = capsys.readouterr().err
    assert "allocation 'uniform' (now 'global'), lr 0.001 (now 0.1)." in line


def test_report_writes_markdown_csv_and_a_page_that_needs_no_network(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--study", NAME, "--studies-dir", str(small)]
    for ending in ("md", "csv", "html"):
        (small / NAME / f"report.{ending}").unlink()
    assert report.main(arguments) == 0
    assert str(small / NAME / "report.html") in capsys.readouterr().out
    rows = list(csv.DictReader((small / NAME / "report.csv").read_text().splitlines()))
    assert [(row["sparsity"], row["precision"]) for row in rows] == [
        ("0.0", "32"),
        ("0.0", "8"),
        ("0.9", "32"),
        ("0.9", "8"),
    ]
    assert {row["paper_bytes"] for row in rows} == {""}  # the paper's are for other data
    markdown = (small / NAME / "report.md").read_text()
    table, layers, methods, cost, front = markdown.split("\n## ")
    assert methods.count("\n|") == 2 + 4
    assert table.count("\n|") == 2 + 4
    assert layers.count("\n|") == 2 + 2
    assert cost.count("\n| stage ") == 6
    assert 1 <= front.count("\n- trial ") == front.count("`python -m search.run ") <= 4
    page = (small / NAME / "report.html").read_text()
    assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="?http', page)
    assert page.count('class="plotly-graph-div"') == 8
    assert "dense.weight" not in page


def test_dashboard_note_holds_the_table(small: Path) -> None:
    study = stored_study(small)
    attributes = study._storage.get_study_system_attrs(study._study_id)
    note = "".join(str(attributes[key]) for key in sorted(attributes) if "note_str" in key)
    report, seal = note.rsplit("\n[//]: # (report ", 1)
    assert report == (small / NAME / "report.md").read_text()
    assert seal == f"{hashlib.sha256(report.encode()).hexdigest()})\n"


def test_report_of_an_unknown_study_is_one_line(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report.main(["--study", "nope", "--studies-dir", str(small)]) == 2
    assert re.fullmatch(
        r"The storage sqlite:///.*nope\.db is not there\.\n", capsys.readouterr().err
    )


def test_a_corrupt_database_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"{NAME}.db").write_bytes(b"no database " * 999)
    assert run.main(in_folder(tmp_path, *FAST)) == 2
    assert "does not open: file is not a database." in capsys.readouterr().err


@pytest.mark.faults
def test_a_baseline_that_diverges_ends_the_study_after_its_first_try(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (*FAST, "--sparsity", "0", "--precision", "32,8", "--lr", "1e30")
    for more, states in (
        ((), [TrialState.FAIL, TrialState.WAITING]),
        ((), [TrialState.FAIL, TrialState.WAITING]),  # nothing is trained, and why is said again
        (("--retry-failed",), [TrialState.FAIL, TrialState.FAIL, TrialState.WAITING]),
    ):
        assert run.main(in_folder(tmp_path, *arguments, *more)) == 1
        trials = stored_study(tmp_path).trials
        assert [trial.state for trial in trials] == states
        assert "loss of stage 'train' became nan" in trials[0].user_attrs["failure"]
        out, err = capsys.readouterr()
        assert re.fullmatch(r"The baseline of study .* cannot be trained.* became nan.*\n", err)
        assert "became nan" not in out
        assert "`--retry-failed`" in err


@pytest.mark.faults
def test_a_full_disk_is_one_line_and_the_study_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    arguments = in_folder(tmp_path, *FAST, "--sparsity", "0", "--precision", "32")
    monkeypatch.setattr("objectives.files.os.fsync", full)
    assert run.main(arguments) == 1
    err = capsys.readouterr().err
    assert re.fullmatch(
        r"No space is left for .*\. Make room, then: python.* --model cnn .*\n", err
    )
    monkeypatch.undo()
    assert run.main(arguments) == 0
    assert finished(tmp_path) == [(0.0, 32)]


@pytest.mark.faults
def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path: Path) -> None:
    process = start(tmp_path, *FAST)
    wait_for_line(process, "trial 1:")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "To go on: python" in out
    assert "-m search.run --model cnn --data mnist5k --epochs 1" in out
    states = [trial.state for trial in stored_study(tmp_path).trials]
    assert TrialState.RUNNING not in states
    assert TrialState.FAIL not in states
    assert len(states) == 18


@pytest.mark.faults
def test_ctrl_c_before_anything_has_begun_is_one_line(tmp_path: Path) -> None:
    process = start(tmp_path, *FAST)
    time.sleep(1.5)  # it imports
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "Stopped" in out + err


@pytest.mark.faults
def test_ctrl_c_within_exec_exits_with_the_same_code(tmp_path: Path) -> None:
    """Python itself exits otherwise: a dataclass is made by `exec`, and imports make hundreds."""
    own = tmp_path / "own.py"
    own.write_text("exec('import os, signal; os.kill(os.getpid(), signal.SIGINT)')")
    process = start(tmp_path, *FAST, "--model", f"{own}:Net")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "Stopped" in out + err


@pytest.mark.faults
def test_after_kill_9_in_the_middle_of_a_trial_each_combination_is_finished_once(
    tmp_path: Path,
) -> None:
    process = start(tmp_path, *EIGHT, "--heartbeat", "1")
    wait_for_line(process, "trial 4:")
    wait_until(lambda: runs_trial_after(tmp_path, 4))
    process.kill()
    process.communicate()
    done = finished(tmp_path)
    running = stored_study(tmp_path).get_trials(states=(TrialState.RUNNING,))
    assert len(running) == 1
    assert 5 <= len(done) < 8
    again = start(tmp_path, *EIGHT, "--heartbeat", "1")
    _, err = again.communicate(timeout=180)
    assert again.returncode == 0, err
    assert sorted(finished(tmp_path)) == sorted(GRID)
    assert finished(tmp_path)[: len(done)] == done
    assert stored_study(tmp_path).trials[running[0].number].state == TrialState.FAIL
    with sqlite3.connect(tmp_path / f"{NAME}.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_two_processes_on_one_study_run_no_combination_twice_and_train_nothing_twice(
    tmp_path: Path,
) -> None:
    processes = [start(tmp_path, *EIGHT) for _ in range(2)]
    for process in processes:
        _, err = process.communicate(timeout=180)
        assert process.returncode == 0, err
    trials = stored_study(tmp_path).trials
    assert len(trials) == 8
    assert sorted(finished(tmp_path)) == sorted(GRID)
    assert sum(trial.user_attrs["epochs_trained"] for trial in trials) == 1 + 3 + 4
    assert len({trial.user_attrs["worker"] for trial in trials}) == 2
    facts = [json.loads(path.read_text()) for path in (tmp_path / "cache").glob("*.json")]
    assert len(facts) == 8


def artifacts(folder: Path) -> dict[tuple[float, int], bytes]:
    return {
        (trial.params["sparsity"], trial.params["precision"]): (
            folder / trial.user_attrs["artifact"]
        ).read_bytes()
        for trial in stored_study(folder).get_trials(states=(TrialState.COMPLETE,))
    }


@pytest.mark.faults
def test_two_workers_that_are_stopped_and_resumed_by_one_give_the_same_bytes(
    small: Path, tmp_path: Path
) -> None:
    process = start(tmp_path, *SMALL, "--workers", "2")
    wait_for_line(process, "trial ")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "leaked" not in err
    assert "To go on: python" in out
    states = {trial.state for trial in stored_study(tmp_path).trials}
    assert states <= {TrialState.WAITING, TrialState.COMPLETE}
    assert run.main(in_folder(tmp_path, *SMALL)) == 0
    assert artifacts(tmp_path) == artifacts(small)
    assert len(stored_study(tmp_path).trials) == 4


BOTH_ENDS = (*FAST, "--sparsity", "0,0.999", "--precision", "32")


@pytest.fixture(scope="module")
def both_ends(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of the whole network and of one that has no weights left to speak of."""
    folder = tmp_path_factory.mktemp("both_ends")
    assert run.main(in_folder(folder, *BOTH_ENDS)) == 0
    return folder


def test_a_network_that_answers_always_the_same_is_told(both_ends: Path) -> None:
    whole, pruned = stored_study(both_ends).trials
    assert [trial.user_attrs["constant_answers"] for trial in (whole, pruned)] == [False, True]
    markdown = (both_ends / NAME / "report.md").read_text()
    assert "answers every input of the validation part the same." in markdown


def test_a_quiet_command_says_what_to_take_and_where_the_report_is(
    both_ends: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run.main(in_folder(both_ends, *BOTH_ENDS, "--quiet")) == 0
    out, err = capfd.readouterr()
    take, where = out.splitlines()
    assert take.startswith("Take trial 0 (nothing): ")
    assert where == f"Report: {both_ends / NAME / 'report.html'}"
    assert err == ""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_script_gets_an_object_for_each_trial_and_one_for_the_result(
    workers: str, tmp_path: Path
) -> None:
    own = tmp_path / "own.py"  # whatever a network prints is no JSON
    own.write_text(
        "from torch import nn\n"
        "def make():\n"
        "    print('made')\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(784, 9), nn.ReLU(), nn.Linear(9, 10))\n"
    )
    arguments = (*BOTH_ENDS, "--model", f"{own}:make", "--train-fraction", "0.1", "--json")
    process = start(tmp_path, *arguments, "--workers", workers)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    *trials, result = map(json.loads, out.splitlines())
    assert "made" in err
    assert "Take trial" in err
    assert {trial["number"] for trial in trials} == {0, 1}
    for trial in trials:
        assert (trial["event"], trial["state"], trial["failure"]) == ("trial", "complete", None)
        assert trial["params"].keys() == {"sparsity", "precision"}
        assert trial["bytes"] > 0 < trial["seconds"]
        assert trial["host"] == socket.gethostname()
        assert {"val_score", "test_score", "val_delta_pct", "test_delta_pct"} <= trial.keys()
    assert (result["event"], result["complete"], result["failed"]) == ("result", 2, 0)
    assert Path(result["file"]).is_file()
    assert Path(result["report"]).is_file()
    assert result["why"].startswith(f"Take trial {result['trial']} (")


def test_a_script_is_told_why_there_is_no_result(tmp_path: Path) -> None:
    process = start(tmp_path, *BOTH_ENDS, "--train-fraction", "0.1", "--lr", "1e30", "--json")
    out, err = process.communicate(timeout=200)
    assert process.returncode == 1, err
    trial, result = map(json.loads, out.splitlines())
    assert (trial["state"], trial["bytes"]) == ("failed", None)
    assert "became nan" in trial["failure"]
    assert (result["trial"], result["report"]) == (None, None)
    assert result["why"] in err
