"""Scores by name, as a user gives them, against torchmetrics' and the user's own numbers."""

import functools
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchmetrics.classification import MulticlassF1Score
from toys import FewDigits, toy_context

from models.data_source import Part
from models.errors import BadInputError
from models.tasks import TASKS
from objectives.artifact.export import export_onnx
from objectives.errors import MeasurementError
from objectives.network.state import NetworkState
from objectives.onnx_session import open_session
from objectives.score.base import Score
from objectives.score.function import takes_a_part
from objectives.score.named import fingerprint_of, score_named
from objectives.score.onnx_network import OnnxNetwork


@pytest.fixture(scope="module")
def file(
    baseline: NetworkState, digits: FewDigits, tmp_path_factory: pytest.TempPathFactory
) -> OnnxNetwork:
    """A trained network's file."""
    path = tmp_path_factory.mktemp("scored") / "network.onnx"
    path.write_bytes(export_onnx(baseline, toy_context(digits)))
    return OnnxNetwork(path, digits, threads=1)


def by_hand(file: OnnxNetwork, digits: FewDigits) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all test answers and labels, without our code."""
    inputs, labels = (torch.cat(each) for each in zip(*digits.batches("test"), strict=True))
    session = open_session(file.path, "it")
    (answers,) = session.run(None, {session.get_inputs()[0].name: inputs.numpy()})
    return torch.from_numpy(np.asarray(answers)), labels


def test_a_class_of_torchmetrics_gets_what_it_needs_of_the_data(
    file: OnnxNetwork, digits: FewDigits
) -> None:
    for name in ("MulticlassF1Score", "F1Score"):
        score = score_named(name, data=digits, arguments='{"average": "macro"}')
        assert (score.name, score.mode, score.is_share) == ("MulticlassF1Score", "max", True)
        expected = MulticlassF1Score(10, average="macro")(*by_hand(file, digits))
        assert score.of_file(file, digits, "test") == pytest.approx(100 * float(expected))
    less = score_named("MulticlassCalibrationError", data=digits)
    assert (less.mode, less.is_share) == ("min", True)


def test_accuracy_is_the_share_of_right_answers(file: OnnxNetwork, digits: FewDigits) -> None:
    answers, labels = by_hand(file, digits)
    expected = 100 * float((answers.argmax(1) == labels).float().mean())
    assert score_named("accuracy", data=digits).of_file(file, digits, "test") == pytest.approx(
        expected
    )


def test_a_function_is_given_the_file_and_the_part_if_it_takes_it(
    file: OnnxNetwork, digits: FewDigits, tmp_path: Path
) -> None:
    code = tmp_path / "score.py"
    code.write_text(
        "import os\n"
        "def size(path):\n    return os.path.getsize(path)\n"
        "def part(path, part):\n    return len(part)\n"
        "def bad(path):\n    return float('nan')\n"
        "def words(path):\n    return 'good'\n"
        "def broken(path):\n    raise OSError('no file')\n"
    )

    def named(function: str) -> Score:
        return score_named(f"{code}:{function}", mode="min", data=digits)

    score = named("size")
    assert score.of_file(file, digits, "test") == file.path.stat().st_size
    assert not score.is_share
    assert score.delta_pct(90, 100) == pytest.approx(10)
    assert score.delta_pct(110, 100) == pytest.approx(-10)
    assert score.worth(score.of_network(toy_context(digits).build_network(), digits, "test")) < 0
    assert named("part").of_file(file, digits, "test") == 4
    assert len(fingerprint_of(score)) == 16
    for function, line in (
        ("bad", "bad of it is nan"),
        ("words", "must return a number, but returned str"),
        ("broken", "broken ended with OSError: no file"),
    ):
        with pytest.raises(MeasurementError, match=line):
            named(function).of_file(file, digits, "test")
    other = fingerprint_of(score)
    code.write_text(code.read_text().replace("getsize(path)", "getsize(path) + 1"))
    assert fingerprint_of(named("size")) != other
    with pytest.raises(BadInputError, match="say --metric-mode max or min"):
        score_named(f"{code}:size", data=digits)


@pytest.mark.parametrize(
    ("metric", "how", "line"),
    [
        ("MulticlassF1", {}, r"no metric 'MulticlassF1' .*\. Did you mean Multiclass"),
        (
            "MulticlassF1Score",
            {"arguments": '{"average": "x"}'},
            "MulticlassF1Score cannot be made",
        ),
        ("MulticlassF1Score", {"arguments": "[1"}, "`--metric-args` must be a JSON object"),
        ("MeanAbsoluteError", {"mode": "max"}, "of MeanAbsoluteError it is min that is better"),
        ("accuracy", {"mode": "min"}, "Accuracy takes no `--metric-args`, and more of it"),
        ("PearsonCorrCoef", {}, "say --metric-mode max or min"),
        ("nowhere.py:f", {"mode": "max"}, "`--metric nowhere.py:f` cannot be imported"),
    ],
)
def test_what_is_no_score_is_one_line(
    metric: str, how: dict, line: str, digits: FewDigits
) -> None:
    with pytest.raises(BadInputError, match=line) as caught:
        score_named(metric, data=digits, **how)
    assert "\n" not in str(caught.value)


def test_a_metric_of_another_task_is_one_line(file: OnnxNetwork, digits: FewDigits) -> None:
    for name, line in (
        ("MeanAbsoluteError", "MeanAbsoluteError cannot score it"),
        ("MulticlassConfusionMatrix", "gives more than one number"),
    ):
        score = score_named(name, data=digits, mode="max" if "Matrix" in name else None)
        with pytest.raises(MeasurementError, match=line) as caught:
            score.of_file(file, digits, "test")
        assert "\n" not in str(caught.value)


class Two(FewDigits):
    """Four inputs, of which the last one is a no."""

    task = TASKS["binary"]
    num_classes = 1

    def batches(self, part: Part) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        del part
        yield torch.zeros(4, 2), torch.tensor([1, 1, 1, 0])


class Sure(nn.Module):
    """Answers all four right, by logits between -1 and 1."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor([0.1, 0.2, 0.3, -0.1]))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.logits[: len(inputs)]


def test_metrics_get_probabilities_whatever_the_logits_are() -> None:
    data = Two()
    for name in ("BinaryF1Score", "BinaryAccuracy", "BinaryAUROC"):
        assert score_named(name, data=data).of_network(Sure(), data, "test") == 100


def test_a_function_is_known_by_its_code_and_what_it_holds(digits: FewDigits) -> None:
    def size(path: str, factor: float) -> float:
        return factor * Path(path).stat().st_size

    def of(function: Callable) -> str | None:
        return fingerprint_of(score_named(function, mode="min", data=digits))

    halves, thirds = (functools.partial(size, factor=1 / by) for by in (2, 3))
    assert of(halves) != of(thirds)
    assert of(halves) == of(functools.partial(size, factor=0.5))
    assert of(lambda path: 1.0 * len(path)) != of(lambda path: 2.0 * len(path))


@pytest.mark.parametrize(
    ("function", "takes"),
    [
        (lambda path: len(path), False),
        (lambda path, part: len(path + part), True),
        (lambda path, verbose=False: len(path) + verbose, False),
        (lambda path, part="test": len(path + part), True),
    ],
)
def test_only_a_function_that_asks_for_the_part_gets_it(function: Callable, takes: bool) -> None:
    assert takes_a_part(function) == takes


def test_changes_are_points_of_a_share_and_else_percent(digits: FewDigits) -> None:
    share = score_named("accuracy", data=digits)
    assert share.delta_pct(90.0, 95.0) == -5
    assert share.least_worth(95.0, 2.0) == 93
    error = score_named("MeanAbsoluteError", data=digits)
    assert error.delta_pct(1.1, 1.0) == pytest.approx(-10)
    assert error.least_worth(2.0, 10.0) == pytest.approx(-2.2)
    assert error.delta_pct(0.0, 0.0) == 0
    assert error.delta_pct(1.0, 0.0) == -math.inf
