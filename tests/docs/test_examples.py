"""Each example of docs/examples: searched as it says, its file scored again without our code."""

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    jaccard_score,
    mean_absolute_error,
    roc_auc_score,
)
from torch.nn import functional

from benchmarks.examples import EXAMPLES, command
from search import run
from search.api import compress
from search.storage.study import load_study

SHORT = ("--epochs", "2", "--qat-epochs", "1", "--sparsity", "0.5", "--precision", "32,8")

Scorer = Callable[[np.ndarray, np.ndarray], float]


def perplexity(logits: np.ndarray, following: np.ndarray) -> float:
    logits, following = torch.from_numpy(logits).flatten(0, 1), torch.from_numpy(following)
    return math.exp(float(functional.cross_entropy(logits, following.flatten())))


def macro_f1(logits: np.ndarray, labels: np.ndarray) -> float:
    return float(f1_score(labels, logits > 0, average="macro"))


SCORES: dict[str, tuple[float, Scorer]] = {
    "regression": (1, lambda given, right: mean_absolute_error(right, given[:, 0])),
    "forecasting": (1, lambda given, right: mean_absolute_error(right, given[:, 0])),
    "multilabel": (100, macro_f1),
    "lightning_module": (1, macro_f1),
    "segmentation": (
        100,
        lambda given, right: jaccard_score(
            right.ravel(), given.argmax(1).ravel(), average="macro"
        ),
    ),
    "recommender": (100, lambda given, right: roc_auc_score(right, given[:, 0])),
    "text": (100, lambda given, right: accuracy_score(right, given.argmax(1))),
    "language": (1, perplexity),
}
"""What a score of ours is in units of theirs, and how theirs is computed."""


def module_of(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answers_and_labels(
    module: ModuleType, data: str, artifact: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the file gives for the test part, and what is right."""
    loaded = getattr(module, data)()
    loaded.setup("test")
    session = onnxruntime.InferenceSession(artifact)
    names = [each.name for each in session.get_inputs()]
    answers, labels = [], []
    for batch in loaded.test_dataloader():
        *inputs, right = batch.values() if isinstance(batch, dict) else batch
        if isinstance(batch, dict):
            assert list(batch) == [*names, "labels"]
        feeds = {name: each.numpy() for name, each in zip(names, inputs, strict=True)}
        answers += session.run(None, feeds)
        labels.append(right.numpy())
    return np.concatenate(answers), np.concatenate(labels)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.py")))
def test_an_example_is_searched_and_scored_as_it_says(name: str, tmp_path: Path) -> None:
    options = command(name)
    for option in ("--sparsity", "--precision"):
        place = options.index(option)
        del options[place : place + 2]
    where = ("--study", "s", "--studies-dir", str(tmp_path), "--workers", "1")
    assert run.main([*options, *SHORT, *where]) == 0
    trials = load_study("s", f"sqlite:///{tmp_path / 's.db'}").trials
    assert {trial.params["precision"] for trial in trials} == {32, 8}
    module = module_of(name)
    data_file, _, data = options[options.index("--data") + 1].rpartition(":")
    for trial in trials:
        facts = trial.user_attrs
        artifact = tmp_path / facts["artifact"]
        if name == "anomaly":
            unit, expected = 1.0, module.auroc(str(artifact), "test")
        else:
            unit, score = SCORES[name]
            shown = module_of(Path(data_file).stem)
            expected = score(*answers_and_labels(shown, data, artifact))
        assert facts["test_score"] == pytest.approx(unit * expected, rel=1e-4)
    page = (tmp_path / "s" / "report.html").read_text()
    assert f"Test {trials[0].user_attrs['score_name']} against size" in page


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.py")))
def test_an_example_is_searched_from_python(name: str, tmp_path: Path) -> None:
    words = iter(command(name))
    options = dict(zip(words, words, strict=True))
    model_file, _, factory = options["--model"].rpartition(":")
    data_file, _, data = options["--data"].rpartition(":")
    shown = module_of(Path(data_file).stem)
    settings = {}
    if "--metric" in options:
        metric = options["--metric"]
        path, _, function = metric.rpartition(":")
        settings["metric"] = getattr(module_of(Path(path).stem), function) if path else metric
    if "--metric-mode" in options:
        settings["metric_mode"] = options["--metric-mode"]
    best = compress(
        getattr(module_of(Path(model_file).stem), factory)(),
        getattr(shown, data)(),
        study="s",
        studies_dir=tmp_path,
        sparsity=(0.5,),
        precision=(8,),
        epochs=1,
        qat_epochs=0,
        **settings,
    )
    facts = best.measurements
    if name == "anomaly":
        unit, expected = 1.0, settings["metric"](str(best.artifact), "test")
    else:
        unit, score = SCORES[name]
        expected = score(*answers_and_labels(shown, data, best.artifact))
    assert facts["test_score"] == pytest.approx(unit * expected, rel=1e-4)
