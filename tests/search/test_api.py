"""From Python a study is what it is from the command line, and the same call resumes it."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from pytorch_lightning import LightningDataModule, LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from models.errors import BadInputError
from search.api import Compressed, compress

README = Path(__file__).parents[2] / "README.md"
ROOT = Path(__file__).parents[2]
GRID = {"sparsity": (0.0, 0.5), "precision": (32, 8), "epochs": 1, "qat_epochs": 1}


class Net(nn.Module):
    """Two dense layers and an activation of any kind."""

    def __init__(self, activation: object = torch.relu) -> None:
        super().__init__()
        self.activation = activation
        self.a, self.b = nn.Linear(4, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.activation(self.a(x)))


class Points(LightningDataModule):
    """Three clouds of points."""

    def setup(self, stage: str) -> None:
        generator = torch.Generator().manual_seed(0)
        labels = torch.arange(90) % 3
        inputs = torch.randn(90, 4, generator=generator) + 2 * labels[:, None]
        self.points = TensorDataset(inputs, labels)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.points, batch_size=30, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.points, batch_size=90)

    test_dataloader = val_dataloader


def compressed(folder: Path, network: nn.Module | None = None, **changes: object) -> Compressed:
    settings = {"study": "points", "studies_dir": folder} | GRID | changes
    settings = {name: value for name, value in settings.items() if value is not None}
    return compress(network or Net(), Points(), **settings)


def epochs(study: optuna.Study) -> list[int]:
    return [trial.user_attrs["epochs_trained"] for trial in study.trials]


def test_the_same_call_goes_on_where_it_was_with_the_weights_it_began_with(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first = compressed(tmp_path, trials=2)
    again = compressed(tmp_path)  # another network of random weights
    assert len(first.study.trials) == len(again.study.trials) == 4
    others = compressed(tmp_path / "other", first_network := Net())
    resumed = compressed(tmp_path / "other", first_network)
    assert others.measurements["artifact_sha256"] == resumed.measurements["artifact_sha256"]
    assert "[I " not in capfd.readouterr().err  # of Optuna's


class Lit(LightningModule):
    """Trains itself."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Net()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-2)


@pytest.mark.parametrize("network", [Net(), Lit()])
def test_the_same_objects_serve_again(network: nn.Module, tmp_path: Path) -> None:
    """As in a notebook, whose data have met a trainer before."""
    points = Points()
    settings = GRID | {"studies_dir": tmp_path, "sparsity": 0, "precision": 32}
    for study in ("one", "one", "other"):
        best = compress(network, points, study=study, **settings)
        assert len(best.study.trials) == 1
        assert points.trainer is None


def test_objects_that_cannot_travel_are_refused_where_there_are_workers(tmp_path: Path) -> None:
    class Locked(Points):
        """Holds what no pickle takes."""

        lock = threading.Lock()

        def setup(self, stage: str) -> None:
            assert self.lock is not None
            super().setup(stage)

    held = Locked()
    settings = GRID | {"studies_dir": tmp_path, "study": "s"}
    with pytest.raises(BadInputError, match=r"cannot be handed to other processes .*: use one w"):
        compress(Net(), held, workers=2, **settings)
    assert len(compress(Net(), held, **settings).study.trials) == 4


def test_a_study_whose_database_is_deleted_begins_anew(tmp_path: Path) -> None:
    for expected in (1, 1):
        assert len(compressed(tmp_path, sparsity=0, precision=32).study.trials) == expected
        (tmp_path / "points.db").unlink()
    for _ in range(2):
        assert len(compressed(tmp_path, sparsity=0, precision=32).study.trials) == 1


def test_another_network_under_the_same_name_is_refused(tmp_path: Path) -> None:
    compressed(tmp_path)
    with pytest.raises(BadInputError, match=r"the model 'Net' has changed \(its code"):
        compressed(tmp_path, Net(torch.tanh))
    with pytest.raises(BadInputError, match=r"made with other settings: model 'Net' \(now 'Seq"):
        compressed(tmp_path, nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3)))


def test_networks_that_differ_in_an_attribute_are_trained_each(tmp_path: Path) -> None:
    torch.manual_seed(0)
    one = Net(torch.relu)
    other = Net(torch.tanh)
    other.load_state_dict(one.state_dict())
    for name, network in (("relu", one), ("tanh", other), ("relu again", one)):
        study = compressed(tmp_path, network, study=name.replace(" ", "-")).study
        assert sum(epochs(study)) == (0 if name == "relu again" else 1 + 1 + 2)


def test_workers_run_the_trials_of_objects_that_no_name_opens(tmp_path: Path) -> None:
    class Local(Net):
        """Known to this function alone."""

    alone = compressed(tmp_path / "alone", torch.manual_seed(0) and Local())
    torch.manual_seed(0)
    both = compressed(tmp_path / "both", Local(), workers=2)
    files = [trial.user_attrs["artifact_sha256"] for trial in alone.study.trials]
    found = {trial.user_attrs["artifact_sha256"] for trial in both.study.trials}
    assert found == set(files)
    workers = {trial.user_attrs["worker"] for trial in both.study.trials}
    assert not any(worker.endswith(f":{os.getpid()}") for worker in workers)


def test_one_value_stands_for_several(tmp_path: Path) -> None:
    settings = {"precision": np.array([8]), "layers": "b", "confirm": np.int64(1)}
    best = compressed(tmp_path, sparsity=0.5, **settings)
    (trial,) = best.study.trials
    assert trial.params == {"sparsity": 0.5, "precision": 8}
    assert best.study.user_attrs["config"].count('"layers": ["b"]') == 1
    kept = trial.user_attrs["nonzero_weights"]
    assert [count < total for count, total in kept.values()] == [False, True]
    assert list(trial.user_attrs["nonzero_weights"]) == ["a.weight", "b.weight"]
    assert best.study.user_attrs["confirmation"]["seeds"] == [1]


def test_a_plan_and_a_preset_are_carried_out(tmp_path: Path) -> None:
    (trial,) = compressed(tmp_path, sparsity=0.5, precision=8).study.trials
    plan = trial.user_attrs["plan"]
    settings = {"epochs": 1, "qat_epochs": 1, "studies_dir": tmp_path}
    again = compress(Net(), Points(), study="plan", plan=plan, **settings)
    assert again.measurements["plan"] == plan
    quick = compress("cnn", "mnist5k", study="quick", preset="quick", sparsity=0, precision=32,
                     studies_dir=tmp_path)  # fmt: skip
    assert quick.measurements["epochs_trained"] == 2
    assert '"train_fraction": 0.2' in quick.study.user_attrs["config"]


@pytest.mark.parametrize("kind", ["file", "dict"])
def test_trained_weights_are_taken(kind: str, tmp_path: Path) -> None:
    trained = Net().state_dict()
    torch.save(trained, tmp_path / "weights.pt")
    weights = str(tmp_path / "weights.pt") if kind == "file" else trained
    best = compressed(tmp_path, weights=weights, sparsity=0, precision=32)
    assert epochs(best.study) == [0]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"sparsty": 0.5}, "`compress` has no setting 'sparsty'. Did you mean sparsity"),
        ({"sampler": "tp"}, "`sampler in .*` must hold, but got sampler='tp'"),
        ({"preset": "slow"}, "Unknown preset 'slow'. Known: quick"),
        ({"weights": "nowhere.pt"}, "The weights nowhere.pt cannot be read: No such file"),
        ({"weights": {"a": torch.zeros(1)}}, "The weights do not fit: the network's 'a.weight'"),
        ({"plan": "{", "sparsity": None, "precision": None}, "The plan is not JSON"),
        ({"plan": {"train": 1}}, "`plan` must be a Plan, or one as JSON, but got dict"),
        ({"epochs": "two"}, "`epochs` must be a whole number, but got 'two'"),
        ({"epochs": 1.5}, "`epochs` must be a whole number, but got 1.5"),
        ({"epochs": True}, "`epochs` must be a whole number, but got True"),
        ({"sparsity": [None]}, r"`sparsity` must be several of: a number, but got \[None\]"),
        ({"trials": 2.0}, "`trials` must be a whole number or None, but got 2.0"),
        ({"workers": 0}, "`workers > 0` must hold, but got workers=0"),
        ({"workers": "two"}, "`workers` must be a whole number or None, but got 'two'"),
        ({"confirm": -1}, "`confirm > 0` must hold, but got confirm=-1"),
        ({"cache_gb": -1}, "`cache_gb > 0` must hold, but got cache_gb=-1"),
        ({"heartbeat_seconds": 0}, "`heartbeat_seconds >= 1` must hold"),
        ({"accelerator": "gpu"}, "`accelerator` must be auto, cpu, cuda or mps, but got 'gpu'"),
        ({"study": 3}, "`study` must be text, but got 3"),
        ({"weights": {"a": np.zeros(1)}}, "`weights` must be tensors by name, but 'a' is ndarray"),
        ({"weights": 3}, "`weights` must be a file or tensors by name, not int"),
        ({"trained": True, "weights": {}}, "`trained` goes with a module"),
        ({"sparsity": 1.5}, "`0 <= sparsity < 1` must hold, but got sparsity=1.5"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_leaves_no_study(
    changes: dict, line: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInputError, match=line) as caught:
        compressed(tmp_path, **changes)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.db"))


@pytest.mark.parametrize(
    ("model", "data", "line"),
    [
        (3, Points(), "`model` must be a name or an nn.Module, not int"),
        (Net(), 3, "`data` must be a name or a LightningDataModule, not int"),
    ],
)
def test_other_objects_are_refused(model: object, data: object, line: str, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=line):
        compress(model, data, study="s", studies_dir=tmp_path)


def script(text: str, folder: Path, *, timeout: float = 300) -> subprocess.CompletedProcess:
    """Run `text` as a user does: a script of its own, in a folder of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "script.py").write_text(text)
    return subprocess.run(
        [sys.executable, "script.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def test_the_example_of_the_readme_runs_as_a_script_of_its_own_and_again(tmp_path: Path) -> None:
    example = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert example is not None
    text = example.group(1).replace("epochs=3", "epochs=1")
    for _ in range(2):
        ended = script(text, tmp_path / "elsewhere")
        assert ended.returncode == 0, ended.stderr
        assert "artifacts/trial-" in ended.stdout.splitlines()[-1]
    artifacts = tmp_path / "elsewhere" / "studies" / "digits" / "artifacts"
    assert len(list(artifacts.glob("t*.onnx"))) == 4


@pytest.mark.parametrize("first", ["pytorch_lightning", "lightning", "torchvision"])
def test_it_may_be_imported_after_anything(first: str, tmp_path: Path) -> None:
    text = f"import {first}\nfrom search.api import compress\nimport torchvision\n"
    ended = script(f"{text}print(torchvision.ops.nms is not None)", tmp_path / "elsewhere")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "True\n"
