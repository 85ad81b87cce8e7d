"""Searches that use other methods than the paper's two."""

import re
from pathlib import Path

import optuna
import pytest
from optuna import create_study
from optuna.samplers import RandomSampler
from optuna.trial import create_trial
from toys import made_attributes

from objectives.container.format import decode
from objectives.plan import Plan, methods_of
from objectives.stages.binary import BinaryWeights
from search import run
from search.results.table import StudyTable
from search.sampling.space import WideSpace, search_space
from search.settings.config import StudyConfig
from search.settings.vocabulary import METHODS
from search.storage.study import load_study

FAST = ("--model", "cnn", "--data", "mnist5k", "--train-fraction", "0.3", "--epochs", "1")


def start(folder: Path, *arguments: str) -> int:
    command = [*FAST, "--qat-epochs", "1", "--study", "s", "--studies-dir", str(folder)]
    return run.main([*command, *arguments])


def test_deep_compression_is_prune_cluster_huffman(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    methods = ("--methods", "prune,cluster,huffman", "--lr-decay", "cosine")
    limits = ("--max-bytes", "1000000", "--objective", "saving", "--trials", "3")
    assert start(tmp_path, *methods, *limits) == 0
    study = load_study("s", f"sqlite:///{tmp_path / 's.db'}")
    for trial in study.trials:
        facts = trial.user_attrs
        assert "cluster.bits" in trial.params
        assert "precision" not in trial.params
        artifact = tmp_path / facts["artifact"]
        container = artifact.with_suffix(".onc").read_bytes()
        assert len(container) == facts["container_bytes"] < facts["artifact_bytes"]
        assert decode(container) == artifact.read_bytes()
        factor = facts["baseline_bytes"] / facts["container_bytes"]
        assert facts["reduction_factor"] == pytest.approx(factor)
        bits = trial.params["cluster.bits"]  # fewer where a layer has few weights left
        assert bits - 0.1 < facts["mean_bits"] <= bits
        assert trial.constraints == {"max_bytes": facts["container_bytes"] - 1_000_000}
    printed = " ".join(capsys.readouterr().out.split())
    assert "the file coded by huffman where that is shortest, decoded again" in printed


def test_a_search_over_two_representations_and_distillation(tmp_path: Path) -> None:
    methods = ("--methods", "prune,quantize,cluster,distill,arithmetic")
    arguments = (*methods, "--objective", "pareto", "--sampler", "random", "--trials", "4")
    assert start(tmp_path, *arguments) == 0
    trials = load_study("s", f"sqlite:///{tmp_path / 's.db'}").trials
    assert {trial.params["representation"] for trial in trials} == {"quantize", "cluster"}
    for trial in trials:
        assert {"distill.weight", "distill.temperature"} <= trial.params.keys()
        assert trial.values[1] == trial.user_attrs["container_bytes"]


def test_no_plan_of_a_search_is_refused() -> None:
    """Blocks and pruning do not go together: it is one or the other."""
    methods = ("prune", *(name for name in methods_of("representation") if name in METHODS))
    common = {"model": "cnn", "data": "mnist5k", "epochs": 1, "qat_epochs": 1, "batch_size": 128}
    space = WideSpace(StudyConfig(**common, lr=1e-3, space="wide", methods=methods))
    study = create_study(sampler=RandomSampler(seed=0))
    plans = [space.suggest(study.ask()) for _ in range(50)]
    shared = [plan for plan in plans if plan.get("product") is not None]
    assert 0 < len(shared) < len(plans)
    assert all(plan.get("prune").is_neutral for plan in shared)
    assert not any(plan.get("prune").is_neutral for plan in plans if plan not in shared)
    for trial in study.trials:
        assert (trial.params["representation"] == "product") == (
            "prune.density" not in trial.params
        )


def test_nothing_was_published_for_other_methods() -> None:
    common = {"model": "cnn", "data": "mnist", "epochs": 1, "qat_epochs": 1, "batch_size": 128}
    config = StudyConfig(**common, lr=1e-3, space="wide", methods=("quantize", "binary"))
    study = create_study()
    study.set_user_attr("config", config.to_json())
    binary = config.plan().with_stages(BinaryWeights.start(config.tuning))
    for plan in (config.plan(), binary):
        facts = made_attributes(plan=plan.to_json())
        study.add_trial(create_trial(value=0.0, user_attrs=facts))
    rows = StudyTable(study).rows
    assert [row.plan for row in rows] == [config.plan(), binary]
    assert [row.paper is None for row in rows] == [False, True]
    assert [row.rerun is None for row in rows] == [False, True]


def test_help_and_docs_name_each_method(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run.main(["--help"])
    told = capsys.readouterr().out
    usage = (Path(__file__).parents[2] / "docs" / "usage.md").read_text().split("## Methods")[1]
    for method in METHODS:
        assert re.search(rf"\b{method}\b", told)
        assert re.search(rf"^\|.*\b{method}\b", usage, re.MULTILINE)


def test_a_space_of_all_methods_holds_one_masking_and_one_representation_a_plan() -> None:
    config = StudyConfig(
        model="cnn",
        data="mnist",
        space="wide",
        methods=METHODS,
        epochs=1,
        qat_epochs=1,
        batch_size=128,
        lr=1e-3,
    )
    space = search_space(config, {})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    plans = [space.suggest(study.ask()) for _ in range(100)]  # others are refused when made
    assert {plan.get("n_m") is None for plan in plans} == {True, False}
    for plan in plans:
        maskings = [not plan.get("prune").is_neutral, plan.get("n_m") is not None]
        assert sum(maskings) == (0 if plan.get("product") is not None else 1)
    used = {
        tuple(plan.get(name) is not None for name in ("width", "channels", "factorize"))
        for plan in plans
    }
    assert len(used) == 2**3
    most = max(sum(stage.epochs for stage in plan.stages()) for plan in plans)
    assert most == plans[0].train.epochs + config.trial_epochs == 1 + 3 + 1 + 1
    assert [Plan.from_json(plan.to_json()) for plan in plans] == plans


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--methods", "prune,zip"), "Unknown method 'zip'. Known: width, channels, "),
        (
            ("--methods", "prune,product"),
            "`--methods with prune names a representation that keeps zeros` must hold",
        ),
        (("--methods", "prune,prune"), "`methods names none twice` must hold"),
        (
            ("--methods", "prune,cluster", "--space", "paper"),
            "`--methods goes with --space wide` must hold",
        ),
        (
            ("--space", "wide", "--density", "0.5,0.1"),
            "`--density names two shares of weights, 0 < low <= high",
        ),
        (
            ("--space", "wide", "--precision", "8"),
            "`--precision` goes with the space paper, but the study's is wide.",
        ),
        (
            ("--density", "0.1,0.5"),
            "`--density` goes with the space wide, but the study's is paper.",
        ),
        (("--fine-tune-epochs", "0"), "`fine_tune_epochs >= 1` must hold"),
        (("--distill-weight", "2"), "`0 <= distill_weight <= 1` must hold"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(tmp_path, *arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith(line)
    assert err.count("\n") == 1


def test_each_trial_is_measured_both_ways(tmp_path: Path) -> None:
    assert start(tmp_path, "--sparsity", "0.9", "--precision", "32,8") == 0
    study = load_study("s", f"sqlite:///{tmp_path / 's.db'}")
    for trial in study.trials:
        facts = trial.user_attrs
        artifact = tmp_path / facts["artifact"]
        container = artifact.with_suffix(".onc").read_bytes()
        assert decode(container) == artifact.read_bytes()
        assert len(container) == facts["container_bytes"] < facts["artifact_bytes"]
        assert facts["shipped_bytes"] == facts["artifact_bytes"]
        factor = facts["baseline_bytes"] / facts["artifact_bytes"]
        assert facts["reduction_factor"] == pytest.approx(factor)
    assert "bit for bit; it is not counted" in (tmp_path / "s" / "report.md").read_text()
