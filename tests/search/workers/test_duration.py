"""How long a study will take, from what its parts take."""

from pathlib import Path

import pytest
from toys import FewDigits, toy_context

from objectives.cache.stage_cache import StageCache
from objectives.pipeline import Pipeline
from objectives.preflight.effort import Effort
from search.sampling.space import PaperSpace, WideSpace
from search.settings.config import StudyConfig
from search.workers import duration
from search.workers.duration import REPORT_SECONDS, Duration, Estimate, spread
from search.workers.processes import Processes

COMMON = {"model": "cnn", "data": "mnist5k", "epochs": 3, "qat_epochs": 2, "batch_size": 128}


@pytest.fixture(autouse=True)
def tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file takes 2 s, an epoch 1 s, a stage 0.5 s beside its epochs."""
    monkeypatch.setattr(duration, "like_its_file", lambda *_: None)
    monkeypatch.setattr(duration, "effort_of_file", lambda *_, **__: Effort(seconds=2.0))
    stage = Effort(seconds=0.5, per_epoch=1.0)
    monkeypatch.setattr(duration, "effort_of_stage", lambda *_: stage)


def an_estimate(config: StudyConfig, folder: Path, digits: FewDigits) -> Estimate:
    pipeline = Pipeline(
        toy_context(digits), StageCache(folder / "cache"), folder / "baseline.onnx"
    )
    space = PaperSpace(config) if config.space == "paper" else WideSpace(config)
    return Estimate(pipeline, config, space)


def test_a_grid_takes_what_its_stages_and_files_take(tmp_path: Path, digits: FewDigits) -> None:
    config = StudyConfig(**COMMON, lr=1e-3, sparsity=(0.0, 0.9), precision=(32, 8))
    plans = [config.plan(sparsity, bits) for sparsity in (0.0, 0.9) for bits in (32, 8)]
    of = an_estimate(config, tmp_path, digits)
    told = of.of_plans(plans, Processes(workers=1))
    baseline = 3 + 0.5 + 2
    stages = (3 + 0.5) + 2 * (2 + 0.5)  # one pruning serves two trials
    assert told.epochs == 3 + 3 + 2 * 2
    assert told.seconds == pytest.approx(baseline + stages + 4 * 2 + REPORT_SECONDS)
    two = of.of_plans(plans, Processes(workers=2))
    assert two.seconds < told.seconds + 10
    assert (two.trials, two.file_seconds) == (4, 2.0)


def test_a_search_takes_what_a_mean_trial_of_its_space_takes(
    tmp_path: Path, digits: FewDigits
) -> None:
    config = StudyConfig(**COMMON, lr=1e-3, space="wide")
    of = an_estimate(config, tmp_path, digits)
    plans = of.sampled_plans()
    epochs = sum(s.epochs for plan in plans for s in plan.stages() if s.kind != "training")
    told = of.of_search(20, Processes(workers=1))
    assert told.epochs == pytest.approx(3 + 20 * epochs / len(plans))
    assert told.epochs < 3 + 20 * config.trial_epochs  # not all that a trial may train
    assert of.sampled_plans() == plans


def test_plans_are_spread() -> None:
    assert spread(range(10), 2) == [2, 7]
    assert spread(range(3), 9) == [0, 1, 2]
    assert spread([], 4) == []


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (1.4, "1.0 to 1.7 s"),
        (10, "7 to 12 s"),
        (67, "45 to 80 s"),
        (100, "1.2 to 2.0 min"),
        (3000, "35 to 60 min"),
        (7200, "1.4 to 2.4 h"),
    ],
)
def test_an_estimate_is_a_range(seconds: float, told: str) -> None:
    parts = {"epochs": 7.0, "epoch_seconds": 0.5, "trials": 3, "file_seconds": 12.0}
    text = Duration(seconds=seconds, **parts).told("on this CPU")
    assert text == f"{told} on this CPU: 7 epochs of 0.5 s, 3 files of 12 s"
