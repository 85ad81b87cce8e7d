"""A user's own model and data, from the command line and from Python."""

import re
from pathlib import Path

import pytest
import torch
from toys import FewDigits

from models.data_source import DataOptions
from search import run
from search.settings.config import StudyConfig
from search.settings.presets import label
from search.settings.setup import StudySetup
from search.storage.study import load_study

FAST = ("--epochs", "1", "--qat-epochs", "1", "--sparsity", "0.5", "--precision", "8")

OWN = """
import torch
from pytorch_lightning import LightningDataModule, LightningModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

def model(input_shape, num_classes):
    return nn.Sequential(nn.Linear(input_shape[0], 16), nn.ReLU(), nn.Linear(16, num_classes))

def branching():
    class Sorting(nn.Module):
        def forward(self, x):
            return x if x.sum() > -1e9 else -x
    return nn.Sequential(nn.Linear(4, 3), Sorting())

class Quadrants(LightningDataModule):
    def setup(self, stage):
        x = torch.rand(300, 4, generator=torch.Generator().manual_seed(0)) - 0.5
        self.parts = TensorDataset(x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long())

    def train_dataloader(self):
        return DataLoader(self.parts, batch_size=50, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.parts, batch_size=100)

    test_dataloader = val_dataloader

class Untrainable(LightningModule):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(4, 3)

    def forward(self, x):
        return self.dense(x)

class Absent(Quadrants):
    def setup(self, stage):
        raise FileNotFoundError("quadrants.npy")
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


def test_own_model_and_data_from_the_command_line(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", f"{own}:model", "--data", f"{own}:Quadrants", *FAST]
    arguments += ["--studies-dir", str(own.parent)]
    assert run.main(arguments) == 0
    out = capsys.readouterr().out
    assert "compressed layers: 0, 2" in out
    assert re.search(r"about .* on this CPU: 3 epochs of", out)
    study = load_study(
        "own.model-own.Quadrants-paper", f"sqlite:///{own.parent}/own.model-own.Quadrants-paper.db"
    )
    assert study.trials[0].user_attrs["reduction_factor"] > 0
    own.write_text(OWN.replace("16", "17"))
    assert run.main(arguments) == 2  # other code under the same name
    assert f"the model '{own}:model' has changed (its code, " in capsys.readouterr().err


def test_a_network_that_cannot_be_exported_fails_before_anything_trains(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", f"{own}:branching", "--data", f"{own}:Quadrants", *FAST]
    assert run.main([*arguments, "--studies-dir", str(own.parent)]) == 2
    captured = capsys.readouterr()
    assert "cannot be exported to ONNX: layer '1' (Sorting)" in captured.err
    assert "trial 0" not in captured.out


@pytest.mark.parametrize(
    ("model", "data", "line"),
    [
        ("Untrainable", "Quadrants", "The network is a LightningModule, but has no `training_st"),
        ("model", "Absent", "The data's `setup` failed with FileNotFoundError: quadrants.npy"),
    ],
)
def test_faults_in_own_code_are_one_line_and_exit_code_2(
    model: str, data: str, line: str, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", f"{own}:{model}", "--data", f"{own}:{data}", *FAST]
    assert run.main([*arguments, "--studies-dir", str(own.parent)]) == 2
    err = capsys.readouterr().err
    assert err.startswith(line)
    assert err.count("\n") == 1


def test_trained_weights_take_the_place_of_a_baseline(own: Path) -> None:
    state = {"0.weight": torch.randn(16, 4), "0.bias": torch.zeros(16)}
    state |= {"2.weight": torch.randn(3, 16), "2.bias": torch.zeros(3)}
    torch.save(state, own.parent / "weights.pt")
    arguments = ["--model", f"{own}:model", "--data", f"{own}:Quadrants", *FAST, "--study", "w"]
    arguments += ["--weights", str(own.parent / "weights.pt"), "--studies-dir", str(own.parent)]
    assert run.main(arguments) == 0
    study = load_study("w", f"sqlite:///{own.parent}/w.db")
    assert study.trials[0].user_attrs["epochs_trained"] == 2  # pruning and QAT, no baseline
    assert study.trials[0].user_attrs["baseline_checkpoint_bytes"] is None


def test_a_preset_is_labelled_and_what_is_given_wins(tmp_path: Path) -> None:
    arguments = ["--model", "cnn", "--data", "mnist5k", "--preset", "quick", "--epochs", "1"]
    arguments += ["--sparsity", "0", "--precision", "32", "--studies-dir", str(tmp_path)]
    assert run.main(arguments) == 0
    page = (tmp_path / "cnn-mnist5k-paper" / "report.html").read_text()
    sentence = "Preset quick: input size as it is, 20% of the training part, 10% of the test part"
    assert sentence in page
    assert sentence in (tmp_path / "cnn-mnist5k-paper" / "report.md").read_text()


def test_without_a_preset_there_is_no_label() -> None:
    settings = {"model": "cnn", "data": "mnist", "epochs": 1, "qat_epochs": 1}
    config = StudyConfig(**settings, batch_size=1, lr=0.1)
    assert label(config) is None


@pytest.mark.parametrize(
    ("model", "data", "name"),
    [
        ("cnn", "mnist", "cnn-mnist-paper"),
        ("torchvision:resnet18", "folder:a/b/cifar.tar.xz", "resnet18-cifar-paper"),
        ("some/where/file.py:net", "package.module:Data", "file.net-package.module.Data-paper"),
    ],
)
def test_default_study_names_are_file_names(model: str, data: str, name: str) -> None:
    config = StudyConfig(model=model, data=data, epochs=1, qat_epochs=1, batch_size=1, lr=0.1)
    setup = StudySetup(config=config, model=None, data=FewDigits(DataOptions()))
    assert setup.default_name == name


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--model", "alexnet", "--input-size", "66"), "`input_size >= 67` must hold"),
        (("--model", "cnn", "--train-fraction", "0"), "`0 < train_fraction <= 1` must hold"),
        (
            ("--model", "cnn", "--weights", "nope.pt"),
            "The weights nope.pt cannot be read: No such",
        ),
        (("--model", "cnn", "--layers", "head"), "No layer that can be compressed matches head"),
        (("--model", "nope.py:make"), "`--model nope.py:make` cannot be imported"),
        (("--model", "cnn", "--data", "folder:nowhere"), "There is no folder or archive nowhere"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    defaults = () if "--data" in arguments else ("--data", "mnist5k")
    assert run.main([*arguments, *defaults, "--studies-dir", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert err.startswith(line)
    assert err.count("\n") == 1


def test_a_command_that_is_refused_leaves_no_study_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--model", "cnn", "--data", "mnist5k", "--epochs", "1", "--sparsity", "0"]
    command += ["--precision", "32", "--studies-dir", str(tmp_path)]
    assert run.main([*command, "--layers", "zz*"]) == 2
    assert "No layer that can be compressed matches zz*" in capsys.readouterr().err
    assert list(tmp_path.rglob("*.db")) == []
    assert run.main(command) == 0


def test_own_data_decide_their_sizes_themselves(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", f"{own}:model", "--data", f"{own}:Quadrants", *FAST]
    arguments += ["--studies-dir", str(own.parent), "--train-fraction", "0.5"]
    assert run.main(arguments) == 2
    assert "decide sizes, shares and augmentation themselves: leave" in capsys.readouterr().err
    assert run.main([*arguments[:-2], "--preset", "quick", "--study", "quick"]) == 0
