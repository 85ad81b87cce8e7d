"""What the terminal shows, word for word, but for numbers and paths."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHORT = ["--model", "cnn", "--data", "mnist5k", "--train-fraction", "0.1", "--epochs", "1"]
SHORT += ["--qat-epochs", "1", "--sparsity", "0,0.999", "--precision", "32", "--study", "s"]


def shown(columns: int, module: str, *options: str, **environment: str) -> str:
    """Run a command in a terminal; return what stands there in the end, in lines."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    plain = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    process = subprocess.Popen(
        [sys.executable, "-m", module, *options],
        cwd=ROOT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=plain | {"TERM": "xterm-256color", "PYTHONUTF8": "1"} | environment,
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # as Linux says that the other side is closed
            break
        if not part:
            break
        written += part
    os.close(ours)
    text = written.decode()
    assert process.wait(timeout=60) == 0, text
    assert "\x1b[" not in text.replace("\x1b[A", "")  # no colours; tqdm moves up a line
    return "\n".join(map(_overwritten, text.replace("\r\n", "\n").split("\n")))


def _overwritten(line: str) -> str:
    """Return what a line shows in which the cursor went back to its beginning."""
    shown = ""
    for part in line.replace("\x1b[A", "").split("\r"):
        shown = part + shown[len(part) :]
    return shown.rstrip()


def words(text: str) -> str:
    """Return the words of a text, with # for each number, and no path but its last part."""
    text = re.sub(r"--studies-dir\s+\S+", "--studies-dir DIR", text)
    text = re.sub(r"/\S*/", "", text)
    text = re.sub(r"commit \S+\)", "commit)", text)
    text = re.sub(r"[-+]?\d[\d,.]*\d|[-+]?\d", "#", text)
    return " ".join(re.sub(r"--+", "-", text).split())


BEGINNING = """
Study s in s (commit)
model cnn, data mnist#k, space paper, methods prune,quantize, sparsity #, precision #, objective
quality, epochs #, qat epochs #, batch size #, lr #, seed #, accelerator cpu, threads #, train
fraction #; the report has all settings
compressed layers: conv, dense
about # to # s on this CPU: # epochs of # s, # files of # s
trial #: sparsity #, precision #: # bytes (#x), validation # % (# pp), Q #, U #, # s
trial #: sparsity #, precision #: # bytes (#x), validation # % (# pp), Q #, U #, # s; no
weight is left in conv; it answers every input the same
"""
TABLE = """
trial sparsity bits bytes x smaller accuracy % change pp
- - - - - - -
# # % # # # # #
# # % # # # # #
The report has # more columns.
"""
WIDE_TABLE = """
trial sparsity bits bytes x smaller accuracy % change pp x ckpt Q U latency ms container
est. energy uJ
- - - - - - - - - - - - -
# # % # # # # # # # # # # #
# # % # # # # # # # # # # #
"""
END = """
Take trial # (nothing): your network as it is (# bytes after gzip), as accurate (# % on test),
# ms. It is the only trial to lose at most # points of validation accuracy. No trial has a better
validation accuracy. One seed: how much another would differ is not known; the study's
command with `-confirm #` trains it anew with three others. Its file is s/artifacts/trial#.onnx;
`python -m search.export -study s -studies-dir DIR -trial # -out trial#` takes it away.
Accuracy, change, Q (Eq. #) and U (retained saving) are those of the test part.
What is chosen is chosen on validation. Data: mnist#k.
Bytes, x smaller, Q and U count the file after gzip level #.
It took # s by the clock: # epochs of training, # trials with export and measurement.
Trial # (# % sparse, # bits); no weight is left in conv: it answers every input of the validation
part the same.
On validation Eq. # is best for the uncompressed network: wherever accuracy is lost, it makes more
compression worse. U does not.
Report: report.html
"""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A study's folder, and what a terminal of 80 columns shows when it was made."""
    folder = tmp_path_factory.mktemp("told")
    options = (*SHORT, "--workers", "1", "--studies-dir", str(folder))
    return folder, shown(80, "search.run", *options)


def test_a_study_in_a_terminal_of_80_columns(first: tuple[Path, str]) -> None:
    _, text = first
    assert words(text) == words(BEGINNING + TABLE + END)
    lines = [line for line in text.splitlines() if "/" not in line and "trial" not in line]
    assert max(map(len, lines)) <= 80
    table = text.splitlines()[text.splitlines().index("The report has 6 more columns.") - 5 :]
    assert max(map(len, table[:5])) <= 80
    assert "|" not in text  # of a bar
    assert "\n\n\n" not in text


def test_a_study_in_a_terminal_of_200_columns(first: tuple[Path, str]) -> None:
    folder, _ = first
    text = shown(200, "search.report", "--study", "s", "--studies-dir", str(folder))
    assert words(text) == words(WIDE_TABLE + END)
    assert max(map(len, text.splitlines())) <= 200


def test_a_terminal_that_knows_ascii_alone(first: tuple[Path, str]) -> None:
    folder, _ = first
    options = ("--study", "s", "--studies-dir", str(folder))
    text = shown(300, "search.report", *options, PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert text.isascii()
    assert "?" not in text
    assert "est. energy uJ" in text


def test_without_a_terminal_each_trial_is_a_line(tmp_path: Path) -> None:
    options = [*SHORT, "--workers", "2", "--studies-dir", str(tmp_path)]
    ended = subprocess.run(
        [sys.executable, "-m", "search.run", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stderr == ""
    assert not {"\r", "\x1b"} & set(ended.stdout)
    beginning, _, end = ended.stdout.partition("\n\n")
    told = sorted(line.split(":")[0] for line in beginning.splitlines()[-2:])
    assert told == ["trial 0", "trial 1"]
    expected = BEGINNING.replace("on this CPU", "on this CPU by # workers")
    assert sorted(words(beginning).split()) == sorted(words(expected).split())
    assert max(map(len, end.split("Take")[0].splitlines())) <= 100
    assert words(end).endswith(words(END))
