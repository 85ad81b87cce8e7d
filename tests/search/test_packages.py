"""A project that has packages of our names, and ours beside them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a network in a package `models`, and a `search` and `tests` beside it."""
    for package in ("models", "search", "objectives", "tests"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
    (tmp_path / "models" / "width.py").write_text("WIDTH = 16\n")
    (tmp_path / "models" / "blocks.py").write_text(
        "from torch import nn\n"
        "from models.width import WIDTH\n"
        "class Block(nn.Sequential):\n"
        "    def __init__(self):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(784, WIDTH), nn.Linear(WIDTH, 10))\n"
    )
    (tmp_path / "net.py").write_text(
        "from models.blocks import Block\ndef make():\n    return Block()\n"
    )
    return tmp_path


def python(folder: Path, *arguments: str, safe: bool = True) -> subprocess.CompletedProcess:
    """Run Python in `folder`; `safe` as an installed command, without the folder on its path."""
    return subprocess.run(
        [sys.executable, *(["-P"] if safe else []), *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_network_of_a_package_called_models_is_searched_from_any_folder(project: Path) -> None:
    command = "import sys; from search.run import start; sys.exit(start())"
    options = [
        "--data",
        "mnist5k",
        "--train-fraction",
        "0.1",
        "--epochs",
        "1",
        "--qat-epochs",
        "0",
    ]
    options += [
        "--sparsity",
        "0",
        "--precision",
        "32,8",
        "--studies-dir",
        str(project / "studies"),
    ]
    options += ["--model", f"{project / 'net.py'}:make", "--study"]
    ended = python(project, "-c", command, *options, "s", "--workers", "2")
    assert ended.returncode == 0, ended.stderr
    elsewhere = project / "elsewhere"
    elsewhere.mkdir()
    ended = python(elsewhere, "-c", command, *options, "s", "--workers", "1")
    assert ended.returncode == 0, ended.stderr
    assert len(list((project / "studies" / "s" / "artifacts").glob("trial-*.onnx"))) == 2
    (project / "models" / "width.py").write_text("WIDTH = 17\n")
    ended = python(elsewhere, "-c", command, *options, "s", "--workers", "1")
    assert ended.returncode == 2
    assert "net.py:make' has changed (its code, its shape" in ended.stderr


def test_theirs_may_be_imported_first(project: Path) -> None:
    text = "from models.blocks import Block\nfrom search.packages import ROOT\n"
    text += "import sys\nsys.path.append(str(ROOT))\nfrom models.errors import BadInputError\n"
    (project / "search" / "__init__.py").unlink()
    (project / "search").rmdir()
    ended = python(
        project, "-c", f"{text}print(Block.__module__, BadInputError.__module__)", safe=False
    )
    assert ended.stdout == "models.blocks models.errors\n", ended.stderr


def test_a_module_in_the_place_of_one_of_ours_is_one_line(project: Path) -> None:
    (project / "models" / "layers.py").write_text("")
    (project / "search" / "__init__.py").unlink()
    (project / "search").rmdir()
    ended = python(project, "-c", "import models.layers\nimport search.api", safe=False)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        f"ImportError: {project / 'models' / 'layers.py'} has the name of a module of "
        "compression-search, models.layers: give it another."
    )
