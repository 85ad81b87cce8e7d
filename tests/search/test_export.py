"""`search.export` from outside: what it writes holds, and what does not hold is not written."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import optuna
import pytest
import torch
from optuna.trial import TrialState, create_trial
from safetensors.torch import load_file

from models.data.mnist5k import MNIST5k
from models.registry import MODELS
from objectives.container.format import decode
from objectives.errors import MeasurementError
from search import compare, export
from search.reporting.bundle import CARD, CHECKSUMS
from search.storage.study import load_study

FLOAT_TRIAL = 1
"""90 % sparse, 32 bits."""

GUARDED = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if path is None and top not in sys.stdlib_module_names | {"numpy", "onnxruntime"}:
            raise ImportError(f"{name} is not allowed here")

sys.meta_path.insert(0, Refuse())
"""
"""Lets a process import numpy, ONNX Runtime and Python's own modules only."""


def exported(studies: Path, out: Path, *arguments: object, study: str = "s") -> int:
    command = ["--study", study, "--studies-dir", studies, "--out", out, *arguments]
    try:
        return export.main([str(argument) for argument in command])
    except SystemExit as ended:
        return ended.code


def stored(studies: Path) -> optuna.Study:
    return load_study("s", f"sqlite:///{studies}/s.db")


@pytest.fixture(scope="module")
def out(digits_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the float trial."""
    folder = tmp_path_factory.mktemp("export") / "some" / "out"
    assert exported(digits_study, folder, "--trial", FLOAT_TRIAL, "--container") == 0
    return folder


@pytest.fixture
def changeable(digits_study: Path, tmp_path: Path) -> Path:
    """A copy of the study without its cache."""
    folder = tmp_path / "studies"
    shutil.copytree(digits_study, folder, ignore=shutil.ignore_patterns("cache", "artifact-store"))
    return folder


def test_files_are_the_trials_and_their_checksums_hold(out: Path, digits_study: Path) -> None:
    artifact = digits_study / "s" / "artifacts" / f"trial-{FLOAT_TRIAL:04d}.onnx"
    assert (out / "model.onnx").read_bytes() == artifact.read_bytes()
    assert decode((out / "model.onc").read_bytes()) == artifact.read_bytes()
    checked = subprocess.run(
        ["sha256sum", "--strict", "-c", CHECKSUMS], cwd=out, capture_output=True, text=True
    )
    assert checked.returncode == 0
    names = [line.removesuffix(": OK") for line in checked.stdout.splitlines()]
    assert sorted([*names, CHECKSUMS]) == sorted(path.name for path in out.iterdir())


def test_the_cards_numbers_are_the_studys(out: Path, digits_study: Path) -> None:
    card = (out / CARD).read_text()
    facts = stored(digits_study).trials[FLOAT_TRIAL].user_attrs
    for part, name in (("test", "test"), ("val", "validation")):
        ours = facts[f"{part}_accuracy_pct"]
        baseline = ours - facts[f"{part}_delta_pct"]
        assert f"| accuracy on {name} | {ours:.2f} % | {baseline:.2f} % |" in card
    assert f"| bytes | {facts['artifact_raw_bytes']:,} | |" in card
    gzipped = f"{facts['artifact_bytes']:,} | {facts['baseline_bytes']:,}"
    assert f"| bytes after gzip | {gzipped} |" in card
    assert f"`model.onc`, {(out / 'model.onc').stat().st_size:,} bytes" in card


def test_the_cards_lines_run_without_torch_and_the_weights_answer_alike(out: Path) -> None:
    lines = re.search(r"```python\n(.*?)```", (out / CARD).read_text(), re.DOTALL)
    assert lines is not None
    _, test = MNIST5k().load()
    np.save(out.parent / "pixels.npy", test.images[:300].numpy())
    code, replaced = re.subn(r"np\.zeros\(.*\)", "np.load('../pixels.npy')", lines.group(1))
    assert replaced == 1
    ran = subprocess.run(
        [sys.executable, "-I", "-c", GUARDED + code], cwd=out, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    network = MODELS.get("cnn").build((1, 28, 28), 10).eval()
    network.load_state_dict(load_file(out / "model.safetensors"))
    with torch.no_grad():
        expected = network(test.images[:300] / 255).argmax(1).tolist()
    assert [int(digit) for digit in re.findall(r"\d+", ran.stdout)] == expected


def test_the_guard_of_that_test_refuses_torch() -> None:
    command = [sys.executable, "-I", "-c", f"{GUARDED}\nimport torch"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert "torch is not allowed here" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "best"),
    [
        ((), lambda facts: facts["saving"]),
        (("--best", "saving"), lambda facts: facts["saving"]),
        (("--best", "quality"), lambda facts: facts["quality"]),
        (("--max-drop", "100"), lambda facts: -facts["artifact_bytes"]),
        (
            ("--max-drop", "0"),
            lambda facts: (facts["val_delta_pct"] >= 0, -facts["artifact_bytes"]),
        ),
    ],
)
def test_takes_the_trial_that_is_asked_for(
    arguments: tuple[str, ...],
    best: Callable[[dict[str, Any]], Any],
    digits_study: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trials = stored(digits_study).trials
    expected = max(trials, key=lambda trial: best(trial.user_attrs))
    assert exported(digits_study, tmp_path / "out", *arguments) == 0
    assert f"trial {expected.number} (" in capsys.readouterr().out
    content = (digits_study / expected.user_attrs["artifact"]).read_bytes()
    assert (tmp_path / "out" / "model.onnx").read_bytes() == content
    assert not (tmp_path / "out" / "model.onc").exists()


def test_a_file_that_answers_otherwise_is_refused_and_nothing_is_written(
    changeable: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forget(changeable, "artifact_sha256")
    artifact = changeable / "s" / "artifacts" / f"trial-{FLOAT_TRIAL:04d}.onnx"
    model = onnx.load(artifact)
    weight = next(each for each in model.graph.initializer if each.name == "dense.weight")
    weight.raw_data = np.frombuffer(weight.raw_data, np.float32)[::-1].tobytes()
    size = artifact.stat().st_size
    onnx.save(model, artifact)
    assert artifact.stat().st_size == size
    before = set(tmp_path.iterdir())
    assert exported(changeable, tmp_path / "out", "--trial", FLOAT_TRIAL) == 1
    err = capsys.readouterr().err
    assert re.fullmatch(
        r".*trial-0001\.onnx is not what trial 1 measured: val_score \d+.*, now .*\n", err
    )
    assert set(tmp_path.iterdir()) == before


def forget(studies: Path, attribute: str) -> None:
    """Make the study one from before such an attribute of trials was stored."""
    with closing(sqlite3.connect(studies / "s.db")) as database, database:
        database.execute(f"DELETE FROM trial_user_attributes WHERE key = '{attribute}'")


def flipped(content: bytes) -> bytes:
    """Return `content` with one bit in its middle flipped."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.faults
@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda _: b"no model", r".*trial-0001\.onnx has changed since trial 1 measured it; .*\n"),
        (flipped, r".*trial-0001\.onnx has changed since trial 1 measured it; .*\n"),
        (None, r"The file of trial 1 is gone from .*/s/artifacts; the command that the .*\n"),
    ],
)
def test_a_damaged_or_missing_file_is_one_line(
    damage: Callable[[bytes], bytes] | None,
    line: str,
    changeable: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    forget(changeable, "artifact_folder")  # where the copied study's is still there
    artifact = changeable / "s" / "artifacts" / f"trial-{FLOAT_TRIAL:04d}.onnx"
    content = artifact.read_bytes()
    artifact.unlink()
    if damage is not None:
        artifact.write_bytes(damage(content))
    assert exported(changeable, tmp_path / "out", "--trial", FLOAT_TRIAL) == 1
    assert re.fullmatch(line, capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == [changeable]


def test_a_file_that_lies_in_another_folder_of_this_machine_is_told(
    changeable: Path, digits_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (changeable / "s" / "artifacts" / f"trial-{FLOAT_TRIAL:04d}.onnx").unlink()
    assert exported(changeable, tmp_path / "out", "--trial", FLOAT_TRIAL) == 1
    place = f"not here but in {digits_study / 's' / 'artifacts'}; "
    assert f"The file of trial 1 is {place}" in capsys.readouterr().err


def test_weights_that_the_file_does_not_name_are_left_out(
    digits_study: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def missing(*_: object) -> None:
        raise MeasurementError("The file holds no weight 'x' of the network.")

    monkeypatch.setattr("search.reporting.bundle.restore_weights", missing)
    assert exported(digits_study, tmp_path / "out") == 0
    assert caplog.messages == [
        "model.safetensors is left out. The file holds no weight 'x' of the network."
    ]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"model.onnx", CARD, CHECKSUMS}
    assert "model.safetensors" not in (tmp_path / "out" / CARD).read_text()


def test_trials_without_a_file_are_refused_by_name(
    changeable: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = stored(changeable)
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"failure": "It diverged."}))
    study.add_trial(create_trial(state=TrialState.PRUNED))
    study.enqueue_trial({})
    lines = [
        "Trial 4 of study 's' failed: It diverged.",
        "Trial 5 of study 's' was stopped early: it has no file.",
        "Trial 6 of study 's' is not finished: it has no file.",
        "Study 's' has no trial 7; its trials are 0 to 6.",
    ]
    for number, line in enumerate(lines, start=4):
        assert exported(changeable, tmp_path / "out", "--trial", number) == 2
        assert capsys.readouterr().err == f"{line}\n"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"model": "Sequential"}, r"Study 's' was made from Python .*\(model Sequential, data m"),
        ({"data": "Digits"}, r"Study 's' was made from Python .*data Digits\), which no name"),
        ({"data_fingerprint": "0"}, r"Since study 's' was made, the data 'mnist5k' have changed"),
        ({"model_fingerprint": "0"}, r"Since study 's' was made, the model 'cnn' has changed"),
    ],
)
def test_what_cannot_be_opened_again_is_one_line(
    changes: dict[str, str],
    line: str,
    changeable: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = stored(changeable)
    config = json.loads(study.user_attrs["config"]) | changes
    study.set_user_attr("config", json.dumps(config))
    assert exported(changeable, tmp_path / "out") == 2
    err = capsys.readouterr().err
    assert re.match(line, err)
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--study", "nope"), r"The storage sqlite:///.*nope\.db is not there\."),
        (("--trial", "99"), r"Study 's' has no trial 99; its trials are 0 to 3\."),
        (("--trial", "1", "--best", "saving"), "Argument --best: not allowed with argument --tr"),
        (("--best", "bytes"), "Argument --best: invalid choice: 'bytes'"),
        (("--max-drop", "-99"), r"No trial of study 's' loses at most -99 points .* least, -?\d"),
        (("--max-drop", "nan"), "No trial of study 's' loses at most nan points"),
        (("--out", "{tmp}/full"), r"`--out .*full` must be a folder that is new or empty\."),
        (("--out", "{tmp}/full/file"), r"`--out .*file` must be a folder that is new or empty\."),
        (("--out", "{tmp}/full/file/x"), r"`--out .*x` cannot be written to: "),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...],
    line: str,
    digits_study: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    given = [argument.format(tmp=tmp_path) for argument in arguments]
    assert exported(digits_study, tmp_path / "out", *given) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert re.match(line, err)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_a_file_for_litert_goes_with_it_and_is_compared(
    digits_study: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    assert exported(digits_study, out, "--trial", FLOAT_TRIAL, "--format", "tflite") == 0
    card = (out / CARD).read_text()
    scores = dict(re.findall(r"\| accuracy on test( of model.tflite)? \| ([\d.]+) %", card))
    assert scores[" of model.tflite"] == scores[""]  # floats: the same answers
    assert "model.tflite" in (out / CHECKSUMS).read_text()
    capsys.readouterr()
    files = [str(out / "model.onnx"), str(out / "model.tflite")]
    assert compare.main([*files, "--data", "mnist5k"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[-2:]]
    assert [Path(row[0]).name for row in rows] == ["model.onnx", "model.tflite"]
    assert rows[0][1:3] == rows[1][1:3]
    assert rows[1][-1] == "-"
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    assert exported(digits_study, tmp_path / "no", "--format", "tflite") == 2
    line = "LiteRT needs `pip install 'compression-search[litert]'`.\n"
    assert capsys.readouterr().err == line
    assert not (tmp_path / "no").exists()
