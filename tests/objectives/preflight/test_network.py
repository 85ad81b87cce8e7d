from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from pytorch_lightning import LightningDataModule, LightningModule
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from toys import FewDigits, toy_context

from models.data_source import DataOptions, DataSource
from models.errors import BadInputError
from models.loaders import LoaderData
from models.registry import MODELS, ModelSpec
from objectives.artifact.export import export_onnx
from objectives.context import Context
from objectives.network.state import NetworkState, copy_weights
from objectives.preflight.network import check_network


def context_of(network: nn.Module, digits: DataSource, **changes: object) -> Context:
    spec = ModelSpec(build=lambda *_: deepcopy(network), data="own")
    return toy_context(digits, model=spec, **changes)


class Sorting(nn.Module):
    """Branches on what it is given: no exporter can follow."""

    def forward(self, values: Tensor) -> Tensor:
        return values if values.abs().sum().item() >= 0 else -values


def test_a_built_in_network_passes(context: Context) -> None:
    check_network(context)


@pytest.mark.parametrize("name", [name for name in MODELS.names() if MODELS.get(name).exports])
def test_a_network_that_is_known_to_be_exported_can_be(
    name: str, digits: FewDigits, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = toy_context(digits, model=MODELS.get(name))
    if name == "alexnet":
        data = FewDigits(DataOptions(input_size=67))
        data.setup()
        context = replace(context, data=data)
    export_onnx(NetworkState(weights=copy_weights(context.build_network())), context)
    monkeypatch.setattr("objectives.preflight.files.export_onnx", pytest.fail)
    check_network(context)


def test_a_network_that_cannot_be_exported_fails_with_its_layer_named(digits: FewDigits) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 20), Sorting(), nn.Linear(20, 10))
    with pytest.raises(BadInputError, match=r"cannot be exported to ONNX: layer '2' \(Sorting\)"):
        check_network(context_of(network, digits))


def test_a_network_of_ones_own_that_cannot_take_the_data_has_a_fingerprint_all_the_same(
    digits: FewDigits,
) -> None:
    """It is taken before the network is looked at, which then tells what does not fit."""
    spec = ModelSpec(build=lambda *_: nn.Conv2d(3, 10, 3), data="own", own=True)
    context = toy_context(digits, model=spec)
    assert context.model_fingerprint()
    with pytest.raises(BadInputError, match="cannot take inputs of shape"):
        check_network(context)


class Odd(nn.Module):
    """Does something to a dense network that its file cannot do, or does otherwise."""

    def __init__(self, act: Callable[[Tensor], Tensor], table: nn.Module | None = None) -> None:
        super().__init__()
        self.act, self.table = act, table
        self.dense = nn.Linear(784, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(x.flatten(1))
        if self.table is not None:
            x = x + self.table((x[:, :5] * 15).long()).mean()
        return self.dense(x)


def sparse() -> nn.Module:
    network = Odd(nn.Identity())
    network.register_buffer("graph", torch.eye(3).to_sparse())
    return network


@pytest.mark.parametrize(
    ("network", "line"),
    [
        (Odd(functional.dropout), "answers at random: in `forward`, `F.dropout` needs"),
        (Odd(lambda x: x + torch.randn_like(x)), "answers at random"),
        (Odd(lambda x: x - x.mean(0)), "depends on what else is in its batch"),
        (Odd(lambda x: 2 * x if len(x) > 1 else x), "among 32 it is another one than among 1"),
        (Odd(lambda x: 2 * x if len(x) > 8 else x), "among 32 it is another one than among 1"),
        (
            Odd(nn.Identity(), nn.EmbeddingBag(16, 784)),
            "file is not ONNX|cannot be",
        ),
        (Odd(lambda x: x[x[:, 300] > 0.5].sum(0) + x), "depends on what|cannot be exported"),
        (Odd(lambda x: x.reshape(2, -1, 784).flatten(0, 1)), r"cannot take inputs of shape \(1, "),
        (Odd(lambda x: torch.stack([each.neg() for each in x])), "inputs in a batch for a fixed"),
        (sparse(), "The network's 'graph' is sparse: keep it dense"),
    ],
)
def test_what_no_file_can_answer_like_is_one_line(
    network: nn.Module, line: str, digits: FewDigits, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BadInputError, match=line) as caught:
        check_network(context_of(network, digits))
    assert "\n" not in str(caught.value)
    assert not capfd.readouterr().err


@pytest.mark.parametrize(
    ("network", "line"),
    [
        (nn.Conv2d(3, 10, 3), r"cannot take inputs of shape \(2, 1, 28, 28\): .*channels"),
        (
            nn.Conv2d(1, 10, 3),
            r"shape \(2, 10\) .*, but got \(2, 10, 26, 26\)",
        ),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(784, 7)),
            r"shape \(2, 10\) .*, but got \(2, 7\)",
        ),
    ],
)
def test_networks_that_do_not_fit_the_data_are_one_line(
    network: nn.Module, line: str, digits: FewDigits
) -> None:
    with pytest.raises(BadInputError, match=line) as caught:
        check_network(context_of(network, digits))
    assert "\n" not in str(caught.value)


def test_images_too_small_for_a_built_in_network_are_one_line() -> None:
    data = FewDigits(DataOptions(input_size=3))
    data.setup()
    with pytest.raises(BadInputError, match=r"cannot take inputs of shape \(2, 1, 3, 3\)"):
        check_network(toy_context(data))  # warnings are errors


def test_patterns_that_match_no_layer_are_answered_with_the_layers(digits: FewDigits) -> None:
    with pytest.raises(BadInputError, match=r"matches head\.\*. There are: conv, dense\."):
        check_network(toy_context(digits, layers=("head.*",)))


class OwnTraining(LightningModule):
    """A dense layer that trains itself."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.dense = nn.Linear(784, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.dense(pixels.flatten(1))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        pixels, labels = batch
        loss = functional.cross_entropy(self(pixels), labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        self.steps += 1
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Plateau(OwnTraining):
    """Has a scheduler that watches a metric."""

    def __init__(self, monitor: str, *, strict: bool = True) -> None:
        super().__init__()
        self.monitor = monitor
        self.strict_scheduler = strict

    def configure_optimizers(self) -> tuple[list, list]:
        optimizer = super().configure_optimizers()
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        settings = {"scheduler": scheduler, "monitor": self.monitor}
        return [optimizer], [settings | {"strict": self.strict_scheduler}]


class FailingStep(OwnTraining):
    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        raise KeyError("no such thing\nanywhere")


class NaNLoss(OwnTraining):
    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return super().training_step(batch, batch_idx) * float("nan")


class NoStep(OwnTraining):
    training_step = LightningModule.training_step


class NoOptimizer(OwnTraining):
    configure_optimizers = LightningModule.configure_optimizers


@pytest.mark.parametrize("network", [OwnTraining(), Plateau("train_loss")])
def test_a_network_that_trains_itself_is_tried_with_one_batch_and_with_one_while_quantized(
    network: OwnTraining, digits: FewDigits
) -> None:
    built: list[OwnTraining] = []

    def build(*_: object) -> OwnTraining:
        built.append(deepcopy(network))
        return built[-1]

    check_network(toy_context(digits, model=ModelSpec(build=build, data="own")))
    assert [each.steps for each in built if each.steps] == [1, 1]
    assert network.steps == 0


class Hooked(OwnTraining):
    """Changes batches on their way to the device, or only those that it learns from."""

    def __init__(self, *, always: bool) -> None:
        super().__init__()
        self.always = always

    def on_after_batch_transfer(self, batch: list[Tensor], dataloader_idx: int) -> list[Tensor]:
        pixels, labels = batch
        return [2 * pixels if self.always or self.trainer.training else pixels, labels]


def test_a_network_that_changes_what_is_measured_outside_its_forward_is_refused(
    digits: FewDigits,
) -> None:
    check_network(context_of(Hooked(always=False), digits))
    with pytest.raises(BadInputError, match="`on_after_batch_transfer` changes inputs also where"):
        check_network(context_of(Hooked(always=True), digits))


class Auxiliary(nn.Module):
    """Answers twice while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(784, 10)

    def forward(self, pixels: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        logits = self.dense(pixels.flatten(1))
        return (logits, 2 * logits) if self.training else logits


def test_auxiliary_logits_while_training_are_refused_in_a_line(digits: FewDigits) -> None:
    line = r"returns logits, output_1 while it trains, else logits: a LightningModule says in"
    with pytest.raises(BadInputError, match=line):
        check_network(context_of(Auxiliary(), digits))


class OnlyFloats(nn.Module):
    """Looks at its weight while it trains, and takes no other than it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(784, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        if self.training and not isinstance(self.dense.weight, nn.Parameter):
            raise TypeError("a parameter is wanted")
        return self.dense(pixels.flatten(1))


def test_a_network_that_cannot_be_trained_while_quantized_is_refused(digits: FewDigits) -> None:
    line = "A training step of the quantized network failed with TypeError: a parameter is wanted"
    with pytest.raises(BadInputError, match=line):
        check_network(context_of(OnlyFloats(), digits))


def test_no_validation_step_is_asked_for_beside_data_with_a_validation_part() -> None:
    parts = [TensorDataset(torch.rand(20, 784), torch.arange(20) % 10)] * 3
    train, validation, test = (DataLoader(part, batch_size=5) for part in parts)
    module = LightningDataModule()
    module.train_dataloader = lambda: train
    module.val_dataloader = lambda: validation
    module.test_dataloader = lambda: test
    data = LoaderData(module)
    data.setup()
    check_network(context_of(OwnTraining(), data))  # warnings are errors


def test_a_scheduler_that_may_go_without_its_metric_passes(digits: FewDigits) -> None:
    check_network(context_of(Plateau("val_loss", strict=False), digits))


@pytest.mark.parametrize(
    ("network", "line"),
    [
        (NoStep(), "^The network is a LightningModule, but has no `training_step`"),
        (NoOptimizer(), "^The network is a LightningModule, but has no `configure_optimizers`"),
        (Plateau("val_loss"), "but got 'val_loss': there are no validation batches"),
        (FailingStep(), "^The network's own training failed with KeyError: 'no such thing"),
        (NaNLoss(), "own training failed with TrainingDivergedError: The training loss .* nan"),
    ],
)
def test_networks_that_cannot_train_themselves_are_one_line(
    network: LightningModule, line: str, digits: FewDigits
) -> None:
    with pytest.raises(BadInputError, match=line) as caught:
        check_network(context_of(network, digits))
    assert "\n" not in str(caught.value)
