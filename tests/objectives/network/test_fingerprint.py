"""Whatever decides what a network computes, or how it trains, changes its fingerprint."""

import copy
import math
import operator
import os
import random
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FunctionType, ModuleType

import numpy as np
import optuna
import pytest
import sklearn.model_selection
import tabulate
import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.nn import functional
from toys import FewDigits, toy_context

from models.registry import ModelSpec
from objectives.network.fingerprint import Fingerprint


def told(value: object) -> str:
    fingerprint = Fingerprint()
    fingerprint.add(value, "it")
    assert fingerprint.unknown == []
    return fingerprint.hexdigest()


class Net(nn.Module):
    """Has an attribute of any kind."""

    def __init__(self, attribute: object) -> None:
        super().__init__()
        self.attribute = attribute
        self.dense = nn.Linear(784, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x.flatten(1))


def twice(x: Tensor) -> Tensor:
    return 2 * x


def thrice(x: Tensor) -> Tensor:
    return 3 * x


class Schedule:
    """A user's object."""

    def __init__(self, steps: list[int]) -> None:
        self.steps = steps


def scaled(by: float) -> Callable[[Tensor], Tensor]:
    return lambda x: by * x


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0.1, 0.2),
        ("a", "b"),
        ([1, 2], (1, 2)),
        ({"a": 1}, {"a": 2}),
        ({"a", "b"}, {"a"}),
        (torch.relu, torch.tanh),
        (functional.relu, functional.gelu),
        (math.sin, math.cos),
        (twice, thrice),
        (partial(twice, x=1), partial(twice, x=2)),
        (scaled(1.0), scaled(2.0)),
        (Schedule([1]), Schedule([2])),
        (nn.ReLU, nn.Tanh),
        ([nn.Dropout(0.1)], [nn.Dropout(0.2)]),
        (torch.zeros(2), torch.ones(2)),
        (np.zeros(2), np.ones(2)),
        (torch.float32, torch.float16),
        (Path("a"), Path("b")),
        (Schedule([1]).__init__, Schedule([2]).__init__),
    ],
)
def test_an_attribute_counts_whatever_it_is(one: object, other: object) -> None:
    assert told(Net(one)) == told(Net(one))
    assert told(Net(one)) != told(Net(other))


class Slotted:
    """Has no dictionary."""

    __slots__ = ("by",)

    def __init__(self, by: int) -> None:
        self.by = by


class Table(dict):
    """A dictionary with an attribute."""

    def __init__(self, by: int) -> None:
        super().__init__(a=1)
        self.by = by


@dataclass
class Settings:
    """Computes from its fields."""

    by: int
    more: int = field(default=0, init=False)


def settings(more: int) -> Settings:
    made = Settings(1)
    made.more = more
    return made


def frozen(requires_grad: bool) -> nn.Module:
    layers = nn.Sequential(nn.Linear(2, 2))
    layers[0].weight.requires_grad_(requires_grad)
    return layers


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (frozen(True), frozen(False)),
        (random.Random(1), random.Random(2)),
        (np.random.default_rng(1), np.random.default_rng(2)),
        (torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)),
        (re.compile("a"), re.compile("b")),
        (deque([1]), deque([2])),
        (Slotted(1), Slotted(2)),
        (Table(1), Table(2)),
        (settings(1), settings(2)),
        ({("a", "b")}, {("a", "c")}),
        (frozenset({Path("a"), None}), frozenset({Path("b"), None})),
        (torch.eye(3).to_sparse(), 2 * torch.eye(3).to_sparse()),
        ((torch.ones(2) * 1j).conj(), torch.ones(2) * 1j),
        (operator.itemgetter(1), operator.itemgetter(2)),
    ],
)
def test_a_value_of_any_kind_counts(one: object, other: object) -> None:
    assert told(Net(one)) == told(Net(copy.deepcopy(one)))
    assert told(Net(one)) != told(Net(other))


BY_CODE = """
class Block(nn.Module):
    def forward(self, x):
        return nn.functional.dropout(x, 0.1, self.training)
class Loss:
    def __call__(self, x):
        return x.abs()
class Unused:
    pass
CONFIG = Loss()
CONFIG.rate = 0.5
class Cell(nn.Module):
    kind = Loss
    def __init__(self):
        super().__init__()
        self.block = Block()
    def forward(self, x):
        return helper.scaled(self.block(x)) * CONFIG.rate
    def training_step(self, batch, i):
        return Loss()(batch)
"""


def with_helper(text: str, helper: str = "def scaled(x):\n    return 2 * x\n") -> object:
    module = ModuleType("helper")
    exec(helper, vars(module))
    space = {"nn": nn, "torch": torch, "__name__": "__main__", "helper": module, "net": Net(1)}
    exec(text, space)
    return space["Cell"]()


@pytest.mark.parametrize(
    ("before", "after"),
    [("x, 0.1", "x, 0.9"), ("x.abs()", "x.square()"), ("rate = 0.5", "rate = 0.25")],
)
def test_code_of_what_is_named_counts(before: str, after: str) -> None:
    """A class that a function names, or that is an attribute; an object that a function reads."""
    assert before in BY_CODE
    assert told(with_helper(BY_CODE)) == told(with_helper(BY_CODE))
    assert told(with_helper(BY_CODE)) != told(with_helper(BY_CODE.replace(before, after)))


def test_what_is_read_of_another_module_counts_and_nothing_else() -> None:
    first = told(with_helper(BY_CODE))
    assert told(with_helper(BY_CODE, "def scaled(x):\n    return 3 * x\n")) != first
    more = "def scaled(x):\n    return 2 * x\nversion = 2\n"
    assert told(with_helper(BY_CODE, more)) == first
    assert told(with_helper(BY_CODE.replace("    pass", "    net = 1"))) == first


class Numbered(nn.Module):
    """Uses what pip has installed."""

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        optuna.create_study()
        tabulate.tabulate(batch)
        sklearn.model_selection.train_test_split(batch)


def test_code_of_installed_packages_is_not_followed() -> None:
    fingerprint = Fingerprint()
    fingerprint.add(Numbered(), "it")
    assert fingerprint.unknown == []
    assert len(fingerprint._kept) < 100


def test_objects_within_each_other_have_an_end() -> None:
    chain: list[object] = []
    for _ in range(5000):
        chain = [chain]
    fingerprint = Fingerprint()
    fingerprint.add(Net(chain), "it")
    (line,) = fingerprint.unknown
    assert "objects deep" in line


def test_sets_are_told_alike_in_each_process() -> None:
    code = "from objectives.network.fingerprint import Fingerprint\nfrom pathlib import Path\n"
    code += "f = Fingerprint()\nf.add({('a', 'b'), ('b', 'c'), Path('c'), 'd', 1}, '')\n"
    code += "print(f.hexdigest())"
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2, 3)
    }
    assert len(hashes) == 1


def written(text: str) -> object:
    """A class as a notebook has it: of no file."""
    space: dict[str, object] = {"nn": nn, "torch": torch, "__name__": "__main__"}
    exec(text, space)
    return space["Cell"]()


CELL = """
LIMIT = 6
def helper(x):
    return x.clamp(max=LIMIT)
class Cell(nn.Module):
    rate = 0.1
    def forward(self, x):
        return helper(x.relu())
    @staticmethod
    def other(x):
        return [each for each in x if each > 1]
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x.relu()", "x.tanh()"),
        ("LIMIT = 6", "LIMIT = 7"),
        ("x.clamp(max=LIMIT)", "x.clamp(min=LIMIT)"),
        ("rate = 0.1", "rate = 0.2"),
        ("each > 1", "each > 2"),
    ],
)
def test_code_that_no_file_has_counts(before: str, after: str) -> None:
    assert told(written(CELL)) == told(written(CELL))
    assert before in CELL
    assert told(written(CELL)) != told(written(CELL.replace(before, after)))


def test_a_class_that_refers_to_itself_and_to_its_own_objects_has_an_end() -> None:
    network = Net(None)
    network.__dict__["me"] = network
    Net.last = network
    assert told(network)
    del Net.last


def test_hooks_count() -> None:
    first, second = Net(None), Net(None)
    second.dense.register_forward_hook(lambda *_: None)
    assert told(first) != told(second)


class Lit(LightningModule):
    def __init__(self, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()


def test_hyperparameters_of_lightning_count() -> None:
    assert told(Lit(0.1)) == told(Lit(0.1))
    assert told(Lit(0.1)) != told(Lit(0.2))


def test_what_cannot_be_told_is_named_with_its_place() -> None:
    fingerprint = Fingerprint()
    fingerprint.add(Net({"guard": threading.Lock()}), "the network")
    assert fingerprint.unknown == ["the network.attribute.guard (lock)"]


def test_each_process_tells_the_same(tmp_path: Path) -> None:
    """Sets have another order in each, and objects another address."""
    script = tmp_path / "net.py"
    script.write_text(
        "import torch\nfrom torch import nn\n"
        "from objectives.network.fingerprint import Fingerprint\n"
        "class Net(nn.Module):\n"
        "    names = {'a', 'b', 'c', 'd'}\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.act, self.own = torch.relu, lambda x: x + 1\n"
        "    def forward(self, x):\n"
        "        return self.act(x) if 'a' in {'x', 'y', 'z'} else self.own(x)\n"
        "told = Fingerprint()\ntold.add(Net(), '')\nprint(told.hexdigest())\n"
    )
    root = Path(__file__).parents[3]
    found = {
        subprocess.run(
            [sys.executable, script],
            env={"PYTHONPATH": str(root), "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2)
    }
    assert len(found) == 1


@pytest.mark.parametrize("own", [True, False])
def test_a_users_network_counts_by_what_it_computes(own: bool, digits: FewDigits) -> None:
    """Not so one that is built in: there is none with such attributes."""

    def fingerprint(activation: Callable[[Tensor], Tensor]) -> str:
        class Same(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.dense = nn.Linear(784, 10)

            forward: FunctionType = lambda self, x: self.act(self.dense(x.flatten(1)))

        network = Same()
        network.__dict__["act"] = activation
        spec = ModelSpec(build=lambda *_: network, data="own", own=own)
        torch.nn.init.ones_(network.dense.weight)
        torch.nn.init.ones_(network.dense.bias)
        return toy_context(digits, model=spec).model_fingerprint()

    assert fingerprint(torch.relu) == fingerprint(torch.relu)
    assert (fingerprint(torch.relu) != fingerprint(torch.tanh)) == own
