"""A module and data of either Lightning train together, by the module's own Trainer."""

from importlib import import_module

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from toys import FewDigits, toy_context, toy_plan

from models.data_source import DataSource
from models.loaders import LoaderData
from models.registry import ModelSpec
from objectives.network.state import NetworkState
from objectives.preflight.network import check_network

PACKAGES = ("pytorch_lightning", "lightning.pytorch")


def a_module(package: str) -> nn.Module:
    base = import_module(package).LightningModule

    class Own(base):
        """Counts its steps, and logs."""

        steps = 0

        def __init__(self) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.dense = nn.Linear(784, 10)

        def forward(self, pixels: Tensor) -> Tensor:
            return self.dense(pixels.flatten(1))

        def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
            type(self).steps += 1
            loss = functional.cross_entropy(self(batch[0]), batch[1])
            self.log("train_loss", loss)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    return Own()


def some_data(package: str | None, digits: FewDigits) -> DataSource:
    if package is None:
        return digits
    base = import_module(package).LightningDataModule

    class Random(base):
        """Forty images of noise a part."""

        def loader(self) -> DataLoader:
            parts = TensorDataset(torch.rand(40, 1, 28, 28), torch.arange(40) % 10)
            return DataLoader(parts, batch_size=20)

        def on_after_batch_transfer(
            self, batch: list[Tensor], dataloader_idx: int
        ) -> list[Tensor]:
            assert self.trainer is not None
            return batch

        train_dataloader = val_dataloader = test_dataloader = loader

    data = LoaderData(Random())
    torch.manual_seed(0)
    data.setup()
    return data


@pytest.mark.parametrize("data", [None, *PACKAGES])
@pytest.mark.parametrize("module", PACKAGES)
def test_the_steps_of_a_module_of_either_are_taken(
    module: str, data: str | None, digits: FewDigits
) -> None:
    kind = type(a_module(module))
    source = some_data(data, digits)
    context = toy_context(source, model=ModelSpec(build=lambda *_: kind(), data="own"))
    check_network(context)
    kind.steps = 0
    state = toy_plan(epochs=2).train.apply(NetworkState(weights={}), context)
    assert kind.steps == 2 * source.steps_per_epoch(128)
    toy_plan(0.5, 8).get("quantize").apply(state, context)
    assert kind.steps == 3 * source.steps_per_epoch(128)


@pytest.mark.parametrize("data", PACKAGES)
def test_a_plain_network_learns_from_data_of_either(data: str, digits: FewDigits) -> None:
    context = toy_context(some_data(data, digits))
    assert toy_plan().train.apply(NetworkState(weights={}), context).weights
