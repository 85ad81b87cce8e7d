"""Steps that ask `forward` in ways of their own, answered by a file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from pytorch_lightning import LightningDataModule, LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader
from toys import toy_context, untrained_file

from models.loaders import LoaderData
from models.registry import ModelSpec
from objectives.context import Context
from objectives.errors import MeasurementError
from objectives.preflight.network import check_network
from objectives.score.named import score_named

Batch = dict[str, Tensor]


@dataclass
class Output:
    hidden: Tensor
    score: Tensor
    loss: Tensor | None = None


class Ranked(LightningModule):
    """Takes two tensors, returns a dataclass; batches have no labels, but a third tensor."""

    def __init__(self, ask: Callable[["Ranked", Batch], Output]) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 8)
        self.mixed = nn.Linear(8, 8)
        self._ask = ask

    def forward(
        self, tokens: Tensor, weight: Tensor | None = None, *, twice: bool = False
    ) -> Output:
        hidden = self.mixed(self.words(tokens)).relu()
        weighed = hidden if weight is None else hidden * weight.unsqueeze(-1)
        return Output(hidden, weighed.sum((1, 2)) * (2 if twice else 1))

    def _loss(self, batch: Batch) -> Tensor:
        return (self._ask(self, batch).score - batch["rank"]).square().mean()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self._loss(batch)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.log("val_loss", self._loss(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters())


class Texts(LightningDataModule):
    """Texts of different lengths, batch by batch."""

    def setup(self, stage: str) -> None:
        generator = torch.Generator().manual_seed(0)
        self._batches = [
            {
                "tokens": torch.randint(0, 20, (6, length), generator=generator),
                "weight": torch.rand(6, length, generator=generator),
                "rank": torch.rand(6, generator=generator),
            }
            for length in (5, 5, 7, 4)
        ]

    def _loader(self) -> DataLoader:
        return DataLoader(self._batches, batch_size=None)

    train_dataloader = val_dataloader = test_dataloader = _loader


def by_name(module: Ranked, batch: Batch) -> Output:
    return module(weight=batch["weight"], tokens=batch["tokens"])


def by_place(module: Ranked, batch: Batch) -> Output:
    return module(batch["tokens"], batch["weight"])


def without_weight(module: Ranked, batch: Batch) -> Output:
    return module(batch["tokens"])


def twice(module: Ranked, batch: Batch) -> Output:
    return module(batch["tokens"], batch["weight"], twice=True)


def context_of(ask: Callable[[Ranked, Batch], Output]) -> Context:
    torch.manual_seed(0)
    data = LoaderData(Texts())
    data.setup()
    spec = ModelSpec(build=lambda *_: Ranked(ask), data="own", own=True)
    build = toy_context(data, model=spec).build_network
    score = score_named("val_loss", mode="min", data=data, build=build)
    return toy_context(data, model=spec, score=score)


@pytest.mark.parametrize("ask", [by_name, by_place])
def test_a_file_answers_as_forward_is_asked(
    ask: Callable[[Ranked, Batch], Output], tmp_path: Path
) -> None:
    context = context_of(ask)
    file, network = untrained_file(context, tmp_path)
    assert file.input_names == ["tokens", "weight"]
    assert file.output_names == ["hidden", "score"]
    losses = []
    for batch in context.data.step_batches("validation"):
        with torch.no_grad():
            given = network(batch["tokens"], batch["weight"])
        losses.append(float((given.score - batch["rank"]).square().mean()))
    expected = sum(losses) / len(losses)  # Lightning's mean over batches of one size
    assert context.score.of_file(file, context.data, "validation") == pytest.approx(expected)
    assert context.score.of_network(network, context.data, "test") == pytest.approx(expected)
    check_network(context)


@pytest.mark.parametrize(
    ("ask", "line"),
    [
        (
            without_weight,
            "gives `forward` tokens, but the file takes tokens, weight: let the .* give it weight",
        ),
        (twice, "tokens, weight, twice, but the file takes tokens, weight: .* do without twice"),
    ],
)
def test_what_the_file_cannot_answer_is_one_line(
    ask: Callable[[Ranked, Batch], Output], line: str, tmp_path: Path
) -> None:
    context = context_of(ask)
    file, _ = untrained_file(context, tmp_path)
    with pytest.raises(MeasurementError, match=line):
        context.score.of_file(file, context.data, "validation")


class Either(Ranked):
    """Has an argument that the file does not have."""

    def forward(self, tokens: Tensor | None = None, others: Tensor | None = None) -> Output:  # type: ignore[override]
        hidden = self.mixed(self.words(others if tokens is None else tokens))
        return Output(hidden, hidden.sum((1, 2)))


def test_another_argument_than_the_file_s_is_one_line(tmp_path: Path) -> None:
    data = LoaderData(OneInput())
    data.setup()

    def ask(module: Ranked, batch: Batch) -> Output:
        return module(others=batch["tokens"])

    spec = ModelSpec(build=lambda *_: Either(ask), data="own", own=True)
    build = toy_context(data, model=spec).build_network
    score = score_named("val_loss", mode="min", data=data, build=build)
    context = toy_context(data, model=spec, score=score)
    file, _ = untrained_file(context, tmp_path)
    with pytest.raises(MeasurementError, match="`forward` others, but the file takes tokens"):
        score.of_file(file, data, "validation")


class OneInput(Texts):
    """Texts without weights."""

    def setup(self, stage: str) -> None:
        super().setup(stage)
        self._batches = [
            {"tokens": each["tokens"], "rank": each["rank"]} for each in self._batches[:2]
        ]
