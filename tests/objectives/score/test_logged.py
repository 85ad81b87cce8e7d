"""What a LightningModule logs, with a file in the place of `forward`."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.nn import functional
from toys import FewDigits, toy_context, untrained_file

from models.errors import BadInputError
from models.registry import ModelSpec
from objectives.context import Context
from objectives.errors import MeasurementError
from objectives.preflight.network import check_network
from objectives.score.named import score_named


class Digits(LightningModule):
    """Logs its error, and on test another one."""

    def __init__(self, log: Callable[["Digits", tuple[Tensor, Tensor]], None]) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        self._log_it = log

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return functional.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._log_it(self, batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters())


def log_error(module: Digits, batch: tuple[Tensor, Tensor]) -> None:
    images, labels = batch
    module.log("val_error", (module(images).argmax(1) != labels).float().mean())


def log_without_forward(module: Digits, batch: tuple[Tensor, Tensor]) -> None:
    images, labels = batch
    module.log("val_error", (module.net(images).argmax(1) != labels).float().mean())


def log_nothing_of_it(module: Digits, batch: tuple[Tensor, Tensor]) -> None:
    module.log("val_error", batch[0].mean())


def log_nan(module: Digits, batch: tuple[Tensor, Tensor]) -> None:
    module.log("val_error", module(batch[0]).sum() * float("nan"))


def context_of(digits: FewDigits, log: Callable, metric: str = "val_error") -> Context:
    torch.manual_seed(0)
    spec = ModelSpec(build=lambda *_: Digits(log), data="own", own=True)
    plain = toy_context(digits, model=spec)
    score = score_named(metric, mode="min", data=digits, build=plain.build_network)
    return toy_context(digits, model=spec, score=score)


def test_the_steps_of_the_user_score_the_file(digits: FewDigits, tmp_path: Path) -> None:
    context = context_of(digits, log_error)
    file, network = untrained_file(context, tmp_path)
    for part in ("validation", "test"):
        right, count = 0, 0
        for images, labels in digits.batches(part):
            right += int((network(images).argmax(1) == labels).sum())
            count += len(labels)
        scored = context.score.of_file(file, digits, part)
        assert scored == pytest.approx(1 - right / count)
        assert context.score.of_network(network, digits, part) == pytest.approx(scored)
    assert context.score.worth(scored) == -scored
    check_network(context)


class HasTestStep(Digits):
    """Has a step for tests, too."""

    logs = "test_error"

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.log(self.logs, 2.0 + 0 * self(batch[0]).sum())


class StepLogsAnother(HasTestStep):
    logs = "another"


@pytest.mark.parametrize("kind", [HasTestStep, StepLogsAnother])
def test_a_step_for_tests_scores_tests_if_it_logs_the_metric(
    kind: type[HasTestStep], digits: FewDigits, tmp_path: Path
) -> None:
    spec = ModelSpec(build=lambda *_: kind(log_error), data="own", own=True)
    build = toy_context(digits, model=spec).build_network
    score = score_named("val_error", mode="min", data=digits, build=build)
    file, _ = untrained_file(toy_context(digits, model=spec, score=score), tmp_path)
    assert score.of_file(file, digits, "validation") <= 1
    assert (score.of_file(file, digits, "test") == 2) == (kind is HasTestStep)


@pytest.mark.parametrize(
    ("log", "metric", "line"),
    [
        (log_nothing_of_it, "val_error", "No step of the network asks its own `forward`"),
        (log_without_forward, "val_error", "computes with its part 'net.1' itself, where no file"),
        (log_error, "val_f1", "log no 'val_f1' on validation; they log val_error"),
        (lambda *_: 1 / 0, "val_error", "failed with ZeroDivisionError"),
    ],
)
def test_what_cannot_be_scored_is_one_line_before_anything_trains(
    log: Callable, metric: str, line: str, digits: FewDigits, tmp_path: Path
) -> None:
    context = context_of(digits, log, metric)
    file, _ = untrained_file(context, tmp_path)
    with pytest.raises(MeasurementError, match=line) as caught:
        context.score.of_file(file, digits, "validation")
    assert "\n" not in str(caught.value)
    with pytest.raises(BadInputError, match=line):
        check_network(context)


def test_a_number_that_is_none_fails_the_trial(digits: FewDigits, tmp_path: Path) -> None:
    context = context_of(digits, log_nan)
    file, _ = untrained_file(context, tmp_path)
    with pytest.raises(MeasurementError, match="val_error of it is nan"):
        context.score.of_file(file, digits, "validation")


def test_what_is_better_must_be_said(digits: FewDigits) -> None:
    spec = ModelSpec(build=lambda *_: Digits(log_error), data="own", own=True)
    build = toy_context(digits, model=spec).build_network
    with pytest.raises(BadInputError, match="if the network logs it, say --metric-mode"):
        score_named("val_error", data=digits, build=build)
