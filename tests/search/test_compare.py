"""`search.compare` from outside, on files of a finished study."""

import re
from pathlib import Path

import pytest

from search import compare
from search.storage.study import load_study


@pytest.fixture
def artifacts(digits_study: Path) -> Path:
    return digits_study / "s" / "artifacts"


def compared(*arguments: object) -> int:
    try:
        return compare.main([str(argument) for argument in arguments])
    except SystemExit as ended:
        return ended.code


def test_shows_what_the_study_measured(
    digits_study: Path, artifacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [artifacts / "trial-0003.onnx", artifacts / "baseline.onnx"]
    assert compared(*files, "--data", "mnist5k") == 0
    headings, _, *lines = capsys.readouterr().out.splitlines()
    assert headings.endswith("container (arithmetic)")
    assert [line.split()[0] for line in lines] == [str(file) for file in files]
    facts = load_study("s", f"sqlite:///{digits_study}/s.db").trials[3].user_attrs
    assert lines[0].split()[1:5] == [
        f"{facts['val_accuracy_pct']:.2f}",
        f"{facts['test_accuracy_pct']:.2f}",
        f"{facts['artifact_raw_bytes']:,}",
        f"{facts['artifact_bytes']:,}",
    ]
    assert lines[0].split()[-1] == f"{facts['container_bytes']:,}"
    assert facts["container_coder"] == "arithmetic"


def test_a_file_that_does_not_run_is_one_line_and_the_others_are_measured(
    artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    files = [tmp_path / "broken.onnx", tmp_path / "nope.onnx", artifacts / "baseline.onnx"]
    assert compared(*files, "--data", "mnist5k") == 2
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 3
    first, second = err.splitlines()
    assert first.startswith(f"{files[0]}: ONNX Runtime cannot open it")
    assert second.startswith(f"{files[1]}: ONNX Runtime cannot open it")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--data", "mnist5k"), r"The following arguments are required: FILE"),
        (("baseline.onnx",), r"The following arguments are required: --data"),
        (("baseline.onnx", "--data", "nist"), r"Unknown data 'nist'\. Known: .*mnist5k\."),
        (("baseline.onnx", "--data", "folder:nowhere"), "There is no folder or archive nowhere"),
        (
            ("baseline.onnx", "--data", "mnist5k", "--input-size", "32"),
            r"baseline\.onnx: it takes inputs of shape \(N, 1, 28, 28\), but .* \(1, 32, 32\)",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...],
    line: str,
    artifacts: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(artifacts)
    assert compared(*arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert re.match(line, err)
