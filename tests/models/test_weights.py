"""Checkpoints as people have them: tensors are read, nothing is executed."""

import argparse
import enum
import functools
import os
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.errors import BadInputError
from models.weights import fit_weights, read_weights


def a_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


STATE = a_network().state_dict()


def fitted(stored: object, tmp_path: Path) -> dict[str, Tensor]:
    path = tmp_path / "weights.ckpt"
    torch.save(stored, path)
    return fit_weights(read_weights(path), a_network(), "weights")


class Own(nn.Module):
    """A class that only this file knows."""


@pytest.mark.parametrize(
    "around",
    [
        {"state_dict": STATE, "hyper_parameters": {"root": Path("/data"), "lr": 0.1}},
        {"state_dict": STATE, "hyper_parameters": argparse.Namespace(lr=0.1)},
        {"state_dict": STATE, "hyper_parameters": {"net": Own(), "f": torch.relu}},
        {"model_state_dict": STATE, "epoch": 3, "optimizer": {"state": {}}},
        {"model": STATE, "epoch": 3, "args": argparse.Namespace()},
        {"net": STATE},
        STATE,
        dict(STATE) | {"epoch": 3},
    ],
    ids=["path", "namespace", "module", "model_state_dict", "model", "net", "bare", "mixed"],
)
def test_a_state_dict_is_found_in_whatever_is_around_it(around: object, tmp_path: Path) -> None:
    found = fitted(around, tmp_path)
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)


class Outer:
    """Has classes of its own."""

    class Config:
        """Settings."""

        def __init__(self) -> None:
            self.lr = 0.1

    class Kind(enum.Enum):
        """One of two."""

        A = 1

    @classmethod
    def make(cls) -> "Outer":
        return cls()


@pytest.mark.parametrize(
    "setting",
    [
        Outer.Config(),
        Outer.Kind.A,
        Outer().make,
        defaultdict(list, {1: [2]}),
        deque([1]),
        {1, 2},
        np.random.default_rng(0),
        functools.partial(torch.relu),
        nn.Parameter(torch.ones(1)),
    ],
    ids=lambda setting: type(setting).__name__,
)
@pytest.mark.parametrize("is_zip", [True, False])
def test_hyperparameters_of_any_kind_are_passed_over(
    setting: object, is_zip: bool, tmp_path: Path
) -> None:
    parameters = OrderedDict(
        (name, nn.Parameter(t, t.is_floating_point())) for name, t in STATE.items()
    )
    for parameter in parameters.values():
        parameter.tag = "x"
    for state in (STATE, parameters):
        stored = {
            "state_dict": state,
            "hyper_parameters": {"a": setting, "n": argparse.Namespace()},
        }
        path = tmp_path / "weights.ckpt"
        torch.save(stored, path, _use_new_zipfile_serialization=is_zip)
        found = fit_weights(read_weights(path), a_network(), "weights")
        assert all(torch.equal(found[name], STATE[name]) for name in STATE)


def crafted(pickled: bytes, path: Path) -> Path:
    """A checkpoint with a pickle of one's own."""
    torch.save({"a": torch.ones(1)}, path.with_suffix(".good"))
    with ZipFile(path.with_suffix(".good")) as good, ZipFile(path, "w") as bad:
        for name in good.namelist():
            bad.writestr(name, pickled if name.endswith("data.pkl") else good.read(name))
    return path


NAMESPACE = b"cargparse\nNamespace\n0"
"""Makes torch's own reader give up."""


@pytest.mark.parametrize(
    "pickled",
    [
        b"X\x01\x00\x00\x00aQ.",
        NAMESPACE + b"X\x01\x00\x00\x00aQ.",
        b".",
        NAMESPACE + b".",
        b"0.",
        NAMESPACE + b"X\x01\x00",
        b"J\x01",
        b"h\x09.",
        NAMESPACE + b"ccollections\nOrderedDict\n)R}X\x05\x00\x00\x00itemsK\x01sb.",
        NAMESPACE + b"ctorch._utils\n_rebuild_tensor_v2\nN}X\x0c\x00\x00\x00__defaults__)s\x86b.",
        NAMESPACE + b"ccollections\nOrderedDict\nN}X\x03\x00\x00\x00getK\x01s\x86b.",
        NAMESPACE + b"cos\nsystem\nX\x04\x00\x00\x00true\x85R.",
    ],
)
def test_a_pickle_made_by_hand_is_one_line_and_changes_nothing(
    pickled: bytes, tmp_path: Path
) -> None:
    before = torch._utils._rebuild_tensor_v2.__defaults__, vars(OrderedDict).copy()
    with pytest.raises(BadInputError) as caught:
        read_weights(crafted(b"\x80\x02" + pickled, tmp_path / "weights.ckpt"))
    assert "\n" not in str(caught.value)
    assert before == (torch._utils._rebuild_tensor_v2.__defaults__, vars(OrderedDict))
    assert (
        fitted({"state_dict": STATE, "n": argparse.Namespace()}, tmp_path).keys() == STATE.keys()
    )


@pytest.mark.parametrize(("first", "second"), [("ema.", "model."), ("teacher.", "student.")])
def test_of_two_networks_none_is_guessed(first: str, second: str, tmp_path: Path) -> None:
    both = {first + name: tensor for name, tensor in STATE.items()}
    both |= {second + name: tensor for name, tensor in STATE.items()}
    with pytest.raises(BadInputError, match=f"several networks that fit .'{first}', '{second}'"):
        fitted(both, tmp_path)
    bare = {first + name: tensor + 1 for name, tensor in STATE.items()} | STATE
    assert torch.equal(fitted(bare, tmp_path)["0.weight"], STATE["0.weight"])


@pytest.mark.parametrize(
    "change", [torch.Tensor.to_sparse, lambda x: x.to("meta"), lambda x: 1j * x]
)
def test_weights_that_are_no_plain_numbers_are_refused(
    change: Callable[[Tensor], Tensor], tmp_path: Path
) -> None:
    stored = {name: change(tensor) for name, tensor in STATE.items()}
    with pytest.raises(BadInputError, match=r"weights do not fit|cannot be read"):
        fitted(stored, tmp_path)


@pytest.mark.parametrize("prefix", ["model.", "module.model.", "model._orig_mod.", "a.b.c."])
def test_any_one_prefix_is_taken_off(prefix: str, tmp_path: Path) -> None:
    stored = {f"{prefix}{name}": tensor for name, tensor in STATE.items()}
    stored["loss.weight"] = torch.ones(2)
    found = fitted({"state_dict": stored}, tmp_path)
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)


def test_a_prefix_is_put_on() -> None:
    outer = nn.ModuleDict({"network": nn.ModuleDict({"inner": a_network()})})
    for taken in ("", "inner.", "model.", "network.inner."):
        found = fit_weights({taken + name: STATE[name] for name in STATE}, outer, "weights")
        assert torch.equal(found["network.inner.2.bias"], STATE["2.bias"])


def test_the_number_of_batches_that_a_norm_has_met_may_be_missing(tmp_path: Path) -> None:
    stored = {name: tensor for name, tensor in STATE.items() if "num_batches" not in name}
    assert fitted(stored, tmp_path)["1.num_batches_tracked"] == 0


class Executes:
    """Makes a folder when it is unpickled as Python does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.folder),)


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    evil = Executes(tmp_path / "made")
    found = fitted({"state_dict": STATE, "hyper_parameters": evil, "more": [evil]}, tmp_path)
    assert found.keys() == STATE.keys()
    with pytest.raises(BadInputError, match=r"hold no state dict|an object of code"):
        fitted({"state_dict": evil}, tmp_path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("stored", "line"),
    [
        ({"model": Own()}, r"hold an object of code, not a state dict: save `network.state_dict"),
        ({"epoch": 3}, "hold no state dict"),
        ([1, 2], "hold no state dict"),
        ({"0.weight": torch.zeros(4, 3)}, "do not fit: the network's '0.bias' is not there"),
        (STATE | {"0.weight": torch.zeros(1)}, r"'0.weight' has shape \(1,\), but the network's"),
    ],
)
def test_what_does_not_fit_is_one_line(stored: object, line: str, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=line) as caught:
        fitted(stored, tmp_path)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04broken"])
def test_files_of_something_else_are_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(content)
    with pytest.raises(BadInputError, match=r"The weights .* cannot be read: ") as caught:
        read_weights(tmp_path / "weights.pt")
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
