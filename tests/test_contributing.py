"""Each example of docs/contributing.md, dropped into a copy of the packages, is found."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("models", "objectives", "search", "tests/objectives/stages")
FILES = (
    "tests/conftest.py",
    "tests/toys.py",
    "pyproject.toml",
    "compression_search_torchvision.py",
)
EXAMPLE = re.compile(r"```python\n# (\S+)\n(.*?)```", re.DOTALL)
FAST = ("--train-fraction", "0.1", "--epochs", "1", "--qat-epochs", "1", "--workers", "1")


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages with the examples in it."""
    folder = tmp_path_factory.mktemp("copied")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package)
    for file in FILES:
        shutil.copy(ROOT / file, folder / file)
    examples = EXAMPLE.findall((ROOT / "docs" / "contributing.md").read_text())
    assert len(examples) == 4
    for file, text in examples:
        assert not (folder / file).exists()
        (folder / file).write_text(text)
    return folder


def run(folder: Path, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_a_method_is_one_file(copied: Path) -> None:
    assert re.search(r"\brandom;|\brandom,", " ".join(run(copied, "search.run", "--help").split()))
    tested = run(
        copied, "pytest", "-q", "tests/objectives/stages/test_conformance.py", "-k", "random"
    )
    assert re.search(r"\b[6-9] passed", tested)
    searched = ("--methods", "random,quantize", "--sampler", "random", "--trials", "2")
    where = ("--study", "s", "--studies-dir", str(copied / "studies"))
    search = ("search.run", "--model", "cnn", "--data", "mnist5k", *FAST, *searched, *where)
    assert "random.sparsity" in run(copied, *search, "--objective", "saving")
    report = (copied / "studies" / "s" / "report.md").read_text()
    assert "% zero at random" in report
    assert "--plan" in report
    assert '"random": {' in report


def test_a_network_a_data_set_and_a_sampler_are_one_file_each(copied: Path) -> None:
    assert "quasi" in run(copied, "search.run", "--help")
    where = ("--study", "t", "--studies-dir", str(copied / "studies"))
    chosen = ("--model", "perceptron", "--data", "dark5k", "--sampler", "quasi", "--trials", "2")
    told = run(copied, "search.run", *chosen, "--space", "wide", *FAST, *where)
    assert "model perceptron" in told
    assert (copied / "studies" / "t" / "report.html").is_file()
