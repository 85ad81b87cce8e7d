"""Each example of docs/contributing.md, dropped into a copy of the packages, is found."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "models",
    "objectives",
    "search",
    "tests/objectives/stages",
    "tests/objectives/container",
)
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
    assert len(examples) == 6
    for file, text in examples:
        assert not (folder / file).exists()
        (folder / file).write_text(text)
    return folder


@pytest.fixture(scope="module")
def help_text(copied: Path) -> str:
    """What `--help` tells there."""
    return " ".join(run(copied, "search.run", "--help").split())


@pytest.fixture(scope="module")
def report(copied: Path) -> str:
    """What is reported there of a search that uses all examples."""
    chosen = ("--model", "perceptron", "--data", "dark5k", "--sampler", "quasi", "--trials", "2")
    methods = ("--space", "wide", "--methods", "random,quantize,bitmap", "--objective", "saving")
    where = ("--study", "s", "--studies-dir", str(copied / "studies"))
    told = run(copied, "search.run", *chosen, *methods, *FAST, *where)
    assert "model perceptron" in told
    assert "random.sparsity" in told
    assert (copied / "studies" / "s" / "report.html").is_file()
    return (copied / "studies" / "s" / "report.md").read_text()


def run(folder: Path, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_a_method_is_one_file(help_text: str, report: str) -> None:
    assert re.search(r"\brandom[;,]", help_text)
    assert "% zero at random" in report
    assert "--plan" in report
    assert '"random": {' in report


def test_a_sampler_is_one_file(help_text: str) -> None:
    assert re.search(r"\bquasi\b", help_text)


def test_a_network_and_a_data_set_are_one_file_each(report: str) -> None:
    assert "perceptron" in report
    assert "dark5k" in report


def test_a_coder_is_one_file(help_text: str, report: str) -> None:
    assert re.search(r"\bbitmap,", help_text)
    assert "coded by bitmap" in report


def test_a_runtime_is_one_file(copied: Path, help_text: str) -> None:
    assert "evaluator" in help_text
    chosen = ("--model", "cnn", "--data", "mnist5k", "--runtime", "evaluator", "--precision", "32")
    where = ("--study", "r", "--studies-dir", str(copied / "studies"))
    less = ("--test-fraction", "0.1", "--sparsity", "0", "--trials", "1")
    run(copied, "search.run", *chosen, *less, *FAST, *where)
    told = (copied / "studies" / "r" / "report.md").read_text()
    assert "those of ONNX's evaluator's file" in told


def test_what_methods_and_coders_owe_is_tested_of_new_ones(copied: Path) -> None:
    where = ("stages/test_conformance.py", "container/test_format.py")
    files = [f"tests/objectives/{each}" for each in where]
    tested = run(copied, "pytest", "-q", *files, "-k", "random or bitmap or any_type_and_shape")
    assert re.search(r"\b(9|1\d) passed", tested)
