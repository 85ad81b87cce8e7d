"""Batches, steps and names that a file would answer wrongly are refused before anything trains."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningDataModule, LightningModule
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from toys import toy_context

from models.errors import BadInputError
from models.loaders import LoaderData
from models.registry import ModelSpec
from objectives.context import Context
from objectives.network.graph_inputs import given_inputs
from objectives.preflight.network import check_network
from objectives.score.named import score_named

GENERATOR = torch.Generator().manual_seed(0)
X = 100 + 10 * torch.randn(64, 4, generator=GENERATOR)
Y = (X[:, 0] > 100).long()


class Rows(LightningDataModule):
    """The same rows in each part."""

    def __init__(self, rows: Sequence[Any], batch_size: int | None = 16) -> None:
        super().__init__()
        self.rows, self.size = rows, batch_size

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.rows, batch_size=self.size)

    val_dataloader = test_dataloader = train_dataloader


def pairs(*columns: Tensor) -> list[tuple[Tensor, ...]]:
    return list(zip(*columns, strict=True))


class Learner(LightningModule):
    """Learns the second part of a batch."""

    def __init__(self, prepare: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        super().__init__()
        self.dense = nn.Linear(4, 2)
        self.prepare = prepare

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x)

    def _loss(self, batch: Sequence[Tensor]) -> Tensor:
        return functional.cross_entropy(self(self.prepare(batch[0])), batch[1])

    def training_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        return self._loss(batch)

    def validation_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        self.log("val_loss", self._loss(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters())


def context_of(build: Callable[[], nn.Module], module: Rows, metric: str | None = None) -> Context:
    data = LoaderData(module)
    data.setup()
    spec = ModelSpec(build=lambda *_: build(), data="own", own=True)
    if metric is None:
        return toy_context(data, model=spec)
    maker = toy_context(data, model=spec).build_network
    score = score_named(metric, mode="min", data=data, build=maker)
    return toy_context(data, model=spec, score=score)


def test_which_tensor_is_the_labels_is_left_to_what_steps_log() -> None:
    weighted = Rows(pairs(X, Y, torch.rand(64).round().long()))
    with pytest.raises(BadInputError, match="several tensors that may be the labels, of which"):
        check_network(context_of(Learner, weighted))
    check_network(context_of(Learner, weighted, "val_loss"))
    check_network(context_of(Learner, Rows(pairs(X, Y))))


def test_two_names_of_labels_are_one_too_many() -> None:
    rows = [{"x": x, "label": y, "target": 1 - y} for x, y in pairs(X, Y)]

    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.dense(x)

    with pytest.raises(BadInputError, match="several tensors that may be the labels, of which"):
        check_network(context_of(Named, Rows(rows)))


@pytest.mark.parametrize("metric", [None, "val_loss"])
def test_inputs_that_a_step_scales_are_refused_and_noise_is_not(metric: str | None) -> None:
    module = Rows(pairs(X, Y))
    line = "`validation_step` gives `forward` other inputs than the data yield, which its file"
    with pytest.raises(BadInputError, match=line):
        check_network(context_of(lambda: Learner(lambda x: (x - 100) / 10), module, metric))
    check_network(context_of(lambda: Learner(lambda x: x + torch.randn_like(x)), module, metric))


class Moving(Learner):
    """Keeps a mean of what it meets, which its steps take off."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))

    def training_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        self.mean.copy_(batch[0].mean(0))
        return super().training_step(batch, batch_idx)


def test_what_training_changes_and_no_file_reads_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    check_network(context_of(Moving, Rows(pairs(X, Y)), "val_loss"))
    assert "see the network's mean as it was before training" in caplog.text


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def test_a_batch_of_one_is_tried_where_there_is_one() -> None:
    check_network(context_of(normed, Rows(pairs(X, Y), 16)))
    with pytest.raises(BadInputError, match=r"inputs of shape \(1, 4\): Expected more"):
        check_network(context_of(normed, Rows(pairs(X, Y), 21)))


class Returns(nn.Module):
    def __init__(self, make: Callable[[Tensor, Tensor], object]) -> None:
        super().__init__()
        self.dense = nn.Linear(4, 2)
        self.make = make

    def forward(self, x: Tensor) -> object:
        return self.make(x, self.dense(x))


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda _, y: (y, y.mean()), r"a row for each of 2 inputs, but its output 'output_1' has"),
        (lambda _, y: ([y], y), "first output must be a tensor, its answer, but is a list"),
        (
            lambda x, y: {"logits": y, "dense.weight": x * 2},
            "'dense.weight' is the name of two",
        ),
        (lambda x, y: {"logits": y, "same": x}, "let it return no input as it is"),
        (lambda x, y: (x, y), r"but got \(2, 4\). Of logits, output_1 it is the first, or"),
    ],
)
def test_outputs_that_no_file_could_have_are_one_line(make: Callable, line: str) -> None:
    with pytest.raises(BadInputError, match=line) as caught:
        check_network(context_of(lambda: Returns(make), Rows(pairs(X, Y))))
    assert "\n" not in str(caught.value)


class Some(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x)


def test_an_input_that_is_not_taken_may_vary() -> None:
    batches = [
        {"other": torch.rand(16, 3 + place), "x": X[:16], "labels": Y[:16]} for place in range(3)
    ]
    context = context_of(Some, Rows(batches, None))
    check_network(context)
    (value,) = given_inputs(context.exported(context.untrained()).model().graph)
    assert value.name == "x"
    assert [dim.dim_value for dim in value.type.tensor_type.shape.dim] == [0, 4]
