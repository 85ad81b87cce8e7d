import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.data_source import DataOptions
from models.errors import BadInputError
from models.loaders import LoaderData
from models.registry import MODELS
from models.resolve import resolve_data, resolve_model
from models.weights import fit_weights, read_weights

OWN = """
from pytorch_lightning import LightningDataModule, LightningModule
from torch import nn

def shaped(input_shape, num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[0], num_classes))

def any_number(*both):
    return shaped(*both)

def in_order(input_shape, num_classes, /):
    return shaped(input_shape, num_classes)

def plain():
    return nn.Linear(2, 3)

def with_a_default(width=2):
    return nn.Linear(width, 3)

class Bare(nn.Module):
    def forward(self, inputs):
        return inputs

class BareLightning(LightningModule):
    pass

def wrong():
    return 7

def failing():
    raise KeyError("first line\\nsecond line")

number = 7

class Data(LightningDataModule):
    pass
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own_code.py"
    path.write_text(OWN)
    return path


def test_a_file_s_factory_gets_shape_and_classes_if_it_takes_them(own: Path) -> None:
    for name in ("shaped", "any_number", "in_order"):
        assert resolve_model(f"{own}:{name}").build((4,), 3)[1].weight.shape == (3, 4)
    for name in ("plain", "with_a_default"):
        assert resolve_model(f"{own}:{name}").build((4,), 3).weight.shape == (3, 2)


@pytest.mark.parametrize("name", ["Bare", "BareLightning"])
def test_a_class_without_an_init_of_its_own_is_called_with_nothing(own: Path, name: str) -> None:
    assert type(resolve_model(f"{own}:{name}").build((4,), 3)).__name__ == name


def test_a_module_s_factory_is_imported_from_the_current_folder(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own.parent)
    monkeypatch.syspath_prepend(str(own.parent))
    assert isinstance(resolve_model("own_code:plain").build((4,), 3), nn.Linear)


@pytest.mark.parametrize(
    ("attribute", "line"),
    [
        ("nothing", "has nothing callable named 'nothing'"),
        ("number", "has nothing callable named 'number'"),
        ("wrong", "must return an nn.Module, but got int"),
        ("failing", "failed with KeyError: 'first line"),
    ],
)
def test_own_models_that_are_none_are_one_line(own: Path, attribute: str, line: str) -> None:
    with pytest.raises(BadInputError, match=line) as caught:
        resolve_model(f"{own}:{attribute}").build((4,), 3)
    assert "\n" not in str(caught.value)


def test_torchvision_s_networks_of_several_logits_answer_with_one_and_without_a_warning() -> None:
    network = resolve_model("torchvision:googlenet").build((3, 32, 32), 10)  # warnings are errors
    assert network.train()(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_code_that_is_not_there_or_does_not_import_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"cannot be imported: FileNotFoundError: .*nope\.py"):
        resolve_model(f"{tmp_path / 'nope.py'}:make")
    with pytest.raises(BadInputError, match="cannot be imported: ModuleNotFoundError: No module"):
        resolve_model("no_such_package.models:make")
    (tmp_path / "broken.py").write_text("def make(:\n")
    with pytest.raises(BadInputError, match="cannot be imported: SyntaxError"):
        resolve_model(f"{tmp_path / 'broken.py'}:make")


def test_own_data_that_are_none_are_one_line(own: Path) -> None:
    assert isinstance(resolve_data(f"{own}:Data", DataOptions()), LoaderData)
    with pytest.raises(BadInputError, match="must return a LightningDataModule, not int"):
        resolve_data(f"{own}:wrong", DataOptions())


@pytest.mark.parametrize("form", ["ckpt", "pt", "safetensors", "prefixed"])
def test_weights_of_each_form_fit(tmp_path: Path, form: str) -> None:
    network = MODELS.get("cnn").build((1, 28, 28), 10)
    state = network.state_dict()
    path = tmp_path / f"weights.{'safetensors' if form == 'safetensors' else form}"
    if form == "safetensors":
        save_file(state, path)
    elif form == "pt":
        torch.save(state, path)
    else:
        prefixed = {f"model.{name}": tensor for name, tensor in state.items()}
        torch.save({"state_dict": prefixed, "epoch": 3}, path)
    other = MODELS.get("cnn").build((1, 28, 28), 10)
    other.load_state_dict(fit_weights(read_weights(path), other, path))
    assert torch.equal(other.dense.weight, network.dense.weight)


class Evil:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("executed"),))


def test_a_pickle_that_would_run_code_is_refused_and_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.ckpt").write_bytes(pickle.dumps({"state_dict": Evil()}))
    torch.save({"state_dict": Evil()}, tmp_path / "evil.pt")
    for name in ("evil.ckpt", "evil.pt"):
        with pytest.raises(BadInputError, match=r"cannot be read: |hold an object of code"):
            read_weights(tmp_path / name)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("content", "line"),
    [(None, "No such file"), (b"", "cannot be read"), (b"garbage", "cannot be read")],
)
@pytest.mark.parametrize("ending", ["ckpt", "safetensors"])
def test_weights_that_cannot_be_read_are_one_line(
    tmp_path: Path, ending: str, content: bytes | None, line: str
) -> None:
    path = tmp_path / f"weights.{ending}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInputError, match=line) as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_refused_with_the_first_difference() -> None:
    network = MODELS.get("cnn").build((1, 28, 28), 10)
    wrong_shape = MODELS.get("cnn").build((3, 28, 28), 10).state_dict()
    with pytest.raises(BadInputError, match=r"'conv.weight' has shape \(12, 3, 3, 3\)"):
        fit_weights(wrong_shape, network, Path("w.pt"))
    with pytest.raises(BadInputError, match=r"the network's 'conv\.weight' is not there"):
        fit_weights({"x": torch.zeros(1)}, network, Path("w.pt"))
