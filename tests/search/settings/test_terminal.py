"""Whatever the terminal is, or nobody: a command does its work, and shows what fits."""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from search import report as write_report
from search import run
from search.settings.terminal import STOPPED, command

ROOT = Path(__file__).parents[3]
ARGUMENTS = ["--model", "cnn", "--data", "mnist5k", "--train-fraction", "0.1", "--epochs", "1"]
ARGUMENTS += ["--qat-epochs", "0", "--sparsity", "0", "--precision", "32", "--study", "s"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study."""
    made = tmp_path_factory.mktemp("studies")
    assert run.main([*ARGUMENTS, "--workers", "1", "--studies-dir", str(made)]) == 0
    return made


def report(folder: Path, *options: str, **settings: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "search.report", "--study", "s", "--studies-dir", str(folder)]
    given = {"capture_output": True, "cwd": ROOT, "timeout": 120, "check": False} | settings
    given["env"] = os.environ | given.get("env", {})
    return subprocess.run([*command, *options], **given)


def test_signs_that_the_terminal_lacks_stop_nothing(folder: Path) -> None:
    (folder / "s" / "report.html").unlink(missing_ok=True)
    ended = report(folder, env={"PYTHONIOENCODING": "ascii"})
    assert ended.returncode == 0, ended.stderr
    assert b"Traceback" not in ended.stderr
    assert b"Report: " in ended.stdout
    assert (folder / "s" / "report.html").is_file()


def test_a_reader_that_goes_away_stops_nothing(folder: Path) -> None:
    (folder / "s" / "report.html").unlink(missing_ok=True)
    reading, writing = os.pipe()
    os.close(reading)
    ended = report(folder, capture_output=False, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert ended.returncode == 0
    assert ended.stderr == b""
    assert (folder / "s" / "report.html").is_file()


def test_nowhere_to_print_stops_nothing(folder: Path) -> None:
    command = f"{sys.executable} -m search.report --study s --studies-dir '{folder}' >&-"
    ended = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == b""


def test_a_study_goes_on_though_nobody_reads(tmp_path: Path) -> None:
    options = " ".join([*ARGUMENTS, "--studies-dir", str(tmp_path)])
    command = f"set -o pipefail; {sys.executable} -m search.run {options} | head -1"
    ended = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert b"Traceback" not in ended.stderr
    assert (tmp_path / "s" / "report.html").is_file()


@pytest.mark.parametrize("columns", [40, 80, 300])
def test_what_is_printed_fits_the_width(
    columns: int,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert write_report.main(["--study", "s", "--studies-dir", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = lines[: next(i for i, line in enumerate(lines) if line.startswith("Take trial"))]
    first = next(i for i, line in enumerate(table) if line.startswith("---"))
    told = {"trial", "bytes", "x", "pp"} | ({"sparsity", "bits"} if columns >= 80 else {"what"})
    assert told <= set(" ".join(table[:first]).split())
    if columns >= 80:
        assert max(map(len, table)) <= columns
    sentences = [line for line in lines[len(table) :] if "/" not in line]  # a path is not broken
    assert max(map(len, sentences)) <= columns
    more = [line for line in lines if re.fullmatch(r"The report has \d+ more columns\.", line)]
    assert bool(more) == (columns < 300)
    assert "latency ms" in (folder / "s" / "report.md").read_text()


def test_files_have_the_modes_that_the_user_wants(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        assert run.main([*ARGUMENTS, "--studies-dir", str(tmp_path)]) == 0
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077]


def without_root(*command: str) -> list[str]:
    """A command that may not write what is marked as read-only, also when root runs the tests."""
    if os.getuid() != 0:
        return list(command)
    dropped = "-dac_override"
    return ["setpriv", f"--inh-caps={dropped}", f"--bounding-set={dropped}", *command]


def test_a_study_that_may_only_be_read_is_reported_and_exported(
    folder: Path, tmp_path: Path
) -> None:
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root may write everything, and setpriv is not there")
    read_only = tmp_path / "studies"
    shutil.copytree(folder, read_only)
    places = [read_only, *read_only.rglob("*")]
    for path in places:
        path.chmod(path.stat().st_mode & ~0o222)
    before = {path: path.stat().st_mtime_ns for path in places}

    def run_on_it(module: str, *options: str) -> subprocess.CompletedProcess:
        where = ["--study", "s", "--studies-dir", str(read_only)]
        command = without_root(sys.executable, "-m", module, *where, *options)
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    refused = run_on_it("search.report")
    assert refused.returncode == 2
    assert "`python -m search.report --out DIR` puts it elsewhere" in refused.stderr
    assert refused.stderr.count("\n") == 1
    ended = run_on_it("search.report", "--out", str(tmp_path / "report"))
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "report" / "report.html").is_file()
    ended = run_on_it("search.export", "--out", str(tmp_path / "best"))
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "best" / "model.onnx").is_file()
    assert {path: path.stat().st_mtime_ns for path in places} == before


def test_a_stop_that_a_loading_module_wraps_is_a_stop(capsys: pytest.CaptureFixture) -> None:
    stop = KeyboardInterrupt()

    def load() -> int:  # as compiled modules do while they are imported
        raise ImportError("initialization failed") from stop

    assert command(load) == STOPPED
    assert capsys.readouterr().err == "\nStopped.\n"


def test_an_error_that_nobody_expected_shows_itself() -> None:
    def fail() -> int:
        raise ImportError("no module")

    with pytest.raises(ImportError, match="no module"):
        command(fail)


@pytest.mark.parametrize("module", ["search.report", "search.export"])
def test_ctrl_c_is_no_traceback(module: str, folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", module, "--study", "s", "--studies-dir", str(folder)]
    for seconds in (0.2, 2.0):
        out = ["--out", str(tmp_path / f"{seconds}")]  # the first may be done before it is stopped
        process = subprocess.Popen(
            [*command, *out], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
        # Python ends by the signal where it came while C ran Python: the same to a shell
        assert process.returncode in {0, 130, -signal.SIGINT}, told
        assert "Traceback" not in told
