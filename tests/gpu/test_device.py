"""What a trial does, on each device that is there: on the CPU everywhere, marked `gpu` on CUDA."""

from dataclasses import replace
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from toys import FewDigits, toy_context, toy_plan

from models.data_source import DataSource
from models.loaders import LoaderData
from models.registry import MODELS, ModelSpec
from objectives.artifact.export import export_onnx
from objectives.cache.stage_cache import StageCache
from objectives.context import Context
from objectives.errors import TrialError
from objectives.network.state import NetworkState
from objectives.pipeline import Pipeline
from objectives.recipe import Recipe
from objectives.stages.base import Tuning
from objectives.stages.cluster import Clustering
from objectives.training.memory import OutOfMemoryError, told_when_memory_runs_out
from search import run
from search.storage.study import load_study
from search.storage.trials import made_trials

CUDA = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
    ],
)

pytestmark = pytest.mark.parametrize("device", ["cpu", CUDA])


@pytest.fixture
def placed(device: str) -> FewDigits:
    data = FewDigits()
    data.setup()
    data.place(torch.device(device))
    return data


def on(device: str, data: DataSource, **changes: object) -> Context:
    return toy_context(data, accelerator=device, **changes)


def trained(context: Context, epochs: int = 3) -> NetworkState:
    return toy_plan(epochs=epochs).train.apply(NetworkState(weights={}), context)


def test_training_learns_and_leaves_the_network_on_the_cpu(device: str, placed: FewDigits) -> None:
    state = trained(on(device, placed))
    assert {tensor.device.type for tensor in state.weights.values()} == {"cpu"}
    assert all(tensor.is_contiguous() for tensor in state.weights.values())
    network = on(device, placed).network_of(state)
    inputs, labels = next(placed.batches("test"))
    with torch.no_grad():
        assert (network(inputs).argmax(1) == labels).float().mean() > 0.5


def test_data_on_the_device_are_the_same(
    device: str, placed: FewDigits, digits: FewDigits
) -> None:
    assert placed.train.images.device.type == device
    assert placed.fingerprint() == digits.fingerprint()
    assert torch.equal(placed.training_inputs(7), digits.training_inputs(7))


def test_masks_hold_through_training(device: str, placed: FewDigits) -> None:
    context = on(device, placed)
    plan = toy_plan(sparsity=0.9, epochs=2)
    state = plan.get("prune").apply(trained(context), context)
    for layer, mask in state.masks.items():
        weight = state.weights[f"{layer}.weight"]
        assert not weight[~mask].any()
        assert abs(1 - mask.float().mean() - 0.9) < 0.01
    assert state.masks.keys() == {"conv", "dense"}


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_fake_quantization_trains_to_a_file_that_answers_alike(
    bits: int, device: str, placed: FewDigits
) -> None:
    context = on(device, placed)
    state = toy_plan(bits=bits, qat_epochs=2).get("quantize").apply(trained(context), context)
    for layer, stored in state.formats.items():
        weight, scale = state.weights[f"{layer}.weight"], stored.weight_scale
        assert scale is not None
        steps = weight.flatten(1) / scale[:, None]
        assert torch.allclose(steps, steps.round(), atol=1e-3)
    assert export_onnx(state, context)  # which compares it with the network


def test_shared_weights_are_tuned(device: str, placed: FewDigits) -> None:
    context = on(device, placed)
    tuning = Tuning(epochs=1, qat_epochs=1, batch_size=64, lr=1e-3)
    state = replace(Clustering.start(tuning), bits=3).apply(trained(context), context)
    for layer in state.formats:
        assert len(state.weights[f"{layer}.weight"].unique()) <= 8
    assert export_onnx(state, context)


def test_a_teacher_is_followed(device: str, placed: FewDigits, tmp_path: Path) -> None:
    recipe = Recipe(distill_weight=0.9)
    context = on(device, placed)
    pipeline = Pipeline(context, StageCache(tmp_path / "cache"), tmp_path / "baseline.onnx")
    plan = replace(toy_plan(sparsity=0.5, bits=8, epochs=3), recipe=recipe)
    result = pipeline.run(plan, tmp_path / "trial.onnx")
    assert result.measurement.test_score > 50
    alone = pipeline.run(replace(plan, recipe=Recipe()), tmp_path / "alone.onnx")
    assert alone.stage_keys["prune"] != result.stage_keys["prune"]


class Own(pl.LightningModule):
    """Trains itself, and says where."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        self.seen = ""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        self.seen = batch[0].device.type
        return functional.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Loaded(pl.LightningDataModule):
    """Digits as loaders give them, on the CPU."""

    def __init__(self, digits: FewDigits) -> None:
        super().__init__()
        images = digits.train.images.float() / 255
        self.part = TensorDataset(images, digits.train.labels)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.part, batch_size=60)

    val_dataloader = test_dataloader = train_dataloader


def test_a_users_module_and_loaders_train_there(device: str, digits: FewDigits) -> None:
    data = LoaderData(Loaded(digits))
    data.setup()
    module = Own()
    spec = ModelSpec(build=lambda *_: module, data="own", own=True)
    state = trained(on(device, data, model=spec), epochs=1)
    assert module.seen == device
    assert {tensor.device.type for tensor in state.weights.values()} == {"cpu"}


def test_workers_share_the_device(device: str, tmp_path: Path) -> None:
    arguments = ["--model", "cnn", "--data", "mnist5k", "--train-fraction", "0.1", "--epochs", "1"]
    arguments += ["--qat-epochs", "1", "--sparsity", "0,0.9", "--precision", "32,8"]
    arguments += ["--study", "s", "--studies-dir", str(tmp_path), "--accelerator", device]
    arguments += ["--trials-per-gpu", "2"] if device == "cuda" else ["--workers", "2"]
    assert run.main(arguments) == 0
    trials = made_trials(load_study("s", f"sqlite:///{tmp_path / 's.db'}"))
    assert len({tuple(trial.params.items()) for trial in trials}) == len(trials) == 4
    assert len({trial.user_attrs["worker"] for trial in trials}) == 2
    assert sum(trial.user_attrs["epochs_trained"] for trial in trials) == 4
    if device == "cuda":
        assert all(trial.user_attrs["peak_gpu_memory_mb"] > 0 for trial in trials)


def test_a_trial_that_runs_out_of_memory_fails_and_the_next_one_runs(
    device: str, placed: FewDigits
) -> None:
    context = on(device, placed)

    class Greedy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = MODELS.get("cnn").build((1, 28, 28), 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                torch.empty(2**50, dtype=torch.uint8, device=x.device)
            return self.net(x)

    greedy = replace(context, model=ModelSpec(build=lambda *_: Greedy(), data="own"))
    line = "Memory ran out: "
    with pytest.raises(OutOfMemoryError, match=line) as caught, told_when_memory_runs_out():
        trained(greedy)
    assert isinstance(caught.value, TrialError)
    assert trained(context, epochs=1).weights
