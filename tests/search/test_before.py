"""A study and a cache of before are gone on with, nothing trained anew.

`before.tar.xz` was made by commit d71ed99, before modules moved into folders. Where a stage's
version number rises its entry is trained anew: then the archive is made anew, by `FAST`.
"""

import tarfile
from pathlib import Path

import pytest

from search import export, report, run
from search.storage.study import load_study

FAST = ("--model", "cnn", "--data", "mnist5k", "--train-fraction", "0.1", "--epochs", "1")
FAST += ("--qat-epochs", "1", "--sparsity", "0,0.5", "--precision", "32,8", "--workers", "1")
FAST += ("--threads", "1", "--accelerator", "cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with tarfile.open(Path(__file__).with_name("before.tar.xz")) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def start(folder: Path, study: str) -> int:
    return run.main([*FAST, "--study", study, "--studies-dir", str(folder)])


def test_a_study_of_before_is_done_reported_and_exported(folder: Path) -> None:
    made = load_study("before", f"sqlite:///{folder / 'before.db'}").trials
    assert start(folder, "before") == 0
    now = load_study("before", f"sqlite:///{folder / 'before.db'}").trials
    assert [trial.user_attrs for trial in now] == [trial.user_attrs for trial in made]
    where = ["--study", "before", "--studies-dir", str(folder)]
    assert report.main(where) == 0
    assert (folder / "before" / "report.html").is_file()
    assert export.main([*where, "--trial", "3", "--out", str(folder / "best")]) == 0
    exported = (folder / "best" / "model.onnx").read_bytes()
    assert exported == (folder / "before" / "artifacts" / "trial-0003.onnx").read_bytes()


def test_a_cache_of_before_is_read_and_gives_the_same_files(folder: Path) -> None:
    assert start(folder, "again") == 0
    trials = load_study("again", f"sqlite:///{folder / 'again.db'}").trials
    assert sum(trial.user_attrs["epochs_trained"] for trial in trials) == 0
    for trial in trials:
        file = f"trial-{trial.number:04}.onnx"
        before, again = (folder / name / "artifacts" / file for name in ("before", "again"))
        assert again.read_bytes() == before.read_bytes()
