import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
from toys import FewDigits, toy_context

from models.registry import MODELS
from models.resolve import resolve_model
from objectives.network.source import sources_of

BASE = """
from torch import nn

class Base(nn.Module):
    def forward(self, x):
        return x.relu()
"""

NETWORK = """
import torch
from torch import nn

def activation(x):
    return x.relu()

class Block(nn.Module):
    def forward(self, x):
        return activation(x)

class Head(nn.Sequential):
    pass

def make():
    return nn.Sequential(nn.Flatten(), Head(Block(), nn.Linear(784, 10)))
"""

Write = Callable[[str], str]


@pytest.fixture
def fingerprint(tmp_path: Path, digits: FewDigits) -> Write:
    """The fingerprint of a network whose file has this text."""

    def of(text: str) -> str:
        (tmp_path / "net.py").write_text(text)
        return toy_context(
            digits, model=resolve_model(f"{tmp_path / 'net.py'}:make")
        ).model_fingerprint()

    return of


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("return activation(x)", "return activation(x).tanh()"),  # an inner block's forward
        ("x.relu()", "x.tanh()"),  # a function that it calls
    ],
)
def test_what_inner_blocks_compute_changes_the_fingerprint(
    before: str, after: str, fingerprint: Write
) -> None:
    first = fingerprint(NETWORK)
    assert fingerprint(NETWORK) == first
    assert fingerprint(NETWORK.replace(before, after)) != first


def test_the_file_of_a_base_class_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_base.py").write_text(BASE)
    text = "from own_base import Base\nclass Net(Base):\n    pass\ndef make():\n    return Net()\n"
    (tmp_path / "own_net.py").write_text(text)
    network = resolve_model("own_net:make").build((1,), 1)
    assert list(sources_of(network)) == [text.encode(), BASE.encode()]


def test_files_of_one_name_in_two_folders_are_kept_apart(tmp_path: Path) -> None:
    texts = [NETWORK, NETWORK.replace("relu", "tanh")]
    found = []
    for number, text in enumerate(texts):
        path = tmp_path / str(number) / "net.py"
        path.parent.mkdir()
        path.write_text(text)
        found.append(list(sources_of(resolve_model(f"{path}:make").build((1,), 1))))
    assert found == [[text.encode()] for text in texts]


def test_built_in_networks_count_by_their_classes() -> None:
    (source,) = sources_of(MODELS.get("cnn").build((1, 28, 28), 10))
    assert source.startswith(b"class PaperCNN(nn.Module):")
    assert b"MODELS.add" not in source
    assert list(sources_of(resolve_model("torchvision:resnet18").build((3, 8, 8), 10))) == []


def test_the_script_that_was_started_counts_by_its_classes(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    search = "from objectives.network.source import sources_of\nfound = list(sources_of(make()))\n"
    script.write_text(NETWORK + search)
    found = runpy.run_path(str(script), run_name="__main__")["found"]
    assert [source.split(b"\n")[0] for source in found] == [
        b"class Head(nn.Sequential):",
        b"class Block(nn.Module):",
    ]
    assert not any(b"sources_of" in source for source in found)
