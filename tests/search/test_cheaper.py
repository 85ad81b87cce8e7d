"""Trials that cost less: stopped early, begun at a pruned network; plans confirmed or remade."""

from dataclasses import asdict
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from toys import toy_plan

from objectives.errors import TrainingDivergedError
from objectives.plan import Plan
from objectives.result import Result
from objectives.stages.base import Tuning
from objectives.stages.binary import BinaryWeights
from objectives.stages.differentiable import DifferentiableQuantization
from search import run
from search.results.notes import notes
from search.results.remake import remake_command
from search.results.table import StudyTable
from search.sampling.stopping import TrialStopped, has_stopping_rule, report_epochs, stopping_rule
from search.sampling.warm_start import warm_started
from search.settings.config import StudyConfig
from search.storage.study import load_study
from search.workers.confirm import CONFIRMATION

FAST = ("--model", "cnn", "--data", "mnist5k", "--train-fraction", "0.2", "--qat-epochs", "1")


def start(folder: Path, *arguments: str) -> int:
    return run.main([*FAST, "--study", "s", "--studies-dir", str(folder), *arguments])


def stored(folder: Path) -> optuna.Study:
    return load_study("s", f"sqlite:///{folder / 's.db'}")


def a_study_with(accuracies: list[list[float]], rule: str) -> optuna.Study:
    study = optuna.create_study(direction="maximize", pruner=stopping_rule(rule, 4))
    for values in accuracies:
        trial = study.ask()
        try:
            report = report_epochs(trial)
            for epoch, value in enumerate(values, start=1):
                report(epoch, value)
        except TrialStopped:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, values[-1])
    return study


def test_the_median_rule_stops_what_is_below_the_median_and_nothing_else() -> None:
    study = a_study_with([[50.0, 60.0, 70.0, 80.0]] * 5 + [[40.0, 99.0], [51.0, 61.0]], "median")
    states = [trial.state for trial in study.trials]
    assert states == [TrialState.COMPLETE] * 5 + [TrialState.PRUNED, TrialState.COMPLETE]
    assert study.trials[5].intermediate_values == {1: 40.0}


@pytest.mark.parametrize("rule", ["median", "hyperband"])
def test_a_rule_that_is_given_is_asked(rule: str) -> None:
    assert has_stopping_rule(a_study_with([], rule))
    assert not has_stopping_rule(a_study_with([], "none"))


def test_a_stopped_trial_is_stopped_and_not_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--space", "wide", "--sampler", "random", "--objective", "saving")
    arguments += ("--epochs", "2", "--trials", "14", "--stopping-rule", "median")
    assert start(tmp_path, *arguments) == 0
    study = stored(tmp_path)
    stopped = study.get_trials(states=(TrialState.PRUNED,))
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    assert len(stopped) + len(complete) == 14
    assert stopped
    for trial in stopped:
        assert trial.intermediate_values
        assert trial.user_attrs["epochs_trained"] >= max(trial.intermediate_values) - 1
        assert "artifact_bytes" not in trial.user_attrs
        assert not (tmp_path / "s" / "artifacts" / f"trial-{trial.number:04d}.onnx").exists()
    out = capsys.readouterr().out
    epochs = sum(trial.user_attrs["epochs_trained"] for trial in study.trials)
    assert f"by the clock: {epochs} epochs of training, 14 trials" in out
    assert out.count("stopped early after") == len(stopped)
    assert f"Stopped early, as they could not win: {len(stopped)} trials." in out
    assert start(tmp_path, *arguments) == 0
    assert len(stored(tmp_path).trials) == 14  # a stopped trial is not run again


def test_a_warm_start_is_the_nearest_pruned_network_that_is_cached() -> None:
    def uncached(plan: Plan) -> bool:
        return plan.get("prune").sparsity != wanted.get("prune").sparsity

    wanted = toy_plan(0.9, 8, epochs=9)
    others = [toy_plan(sparsity, 32, epochs=9) for sparsity in (0.0, 0.5, 0.85, 0.94)]
    warm = warm_started(wanted, others, uncached)
    # 15 % to 10 % is nearer than 6 % to 10 %
    assert asdict(warm.get("warm_start")) == asdict(others[2].get("prune"))
    assert warm.get("prune").epochs == 3
    assert warm.get("prune").initial_sparsity == 0.85
    assert warm.get("quantize") == wanted.get("quantize")
    assert warm_started(wanted, others[:2], uncached) == wanted  # both too far away
    assert warm_started(wanted, [warm.with_stages(wanted.get("quantize"))], uncached) == wanted
    assert warm_started(wanted, others, lambda _: True) == wanted  # trained already
    assert warm_started(toy_plan(0.0, 8), others, uncached) == toy_plan(0.0, 8)
    assert Plan.from_json(warm.to_json()) == warm
    assert [stage.stage for stage in warm.stages()] == ["train", "prune", "prune", "quantize"]


def test_a_warm_start_asks_for_the_pruned_network_before_weights_are_represented() -> None:
    def only_pruned_is_cached(plan: Plan) -> bool:
        return plan == toy_plan(0.85).without("representation")

    tuning = Tuning(epochs=1, qat_epochs=1, batch_size=128, lr=1e-3)
    wanted = toy_plan(0.9).with_stages(DifferentiableQuantization.start(tuning))
    other = toy_plan(0.85).with_stages(BinaryWeights.start(tuning))
    warm = warm_started(wanted, [other], only_pruned_is_cached)
    assert asdict(warm.get("warm_start")) == asdict(other.get("prune"))
    assert warm.get("differentiable") == wanted.get("differentiable") is not None


def test_a_search_with_warm_starts_trains_fewer_epochs(tmp_path: Path) -> None:
    arguments = ("--sampler", "random", "--epochs", "3", "--trials", "8", "--warm-start")
    assert start(tmp_path, *arguments, "--objective", "saving") == 0
    trials = stored(tmp_path).trials
    plans = [Plan.from_json(trial.user_attrs["plan"]) for trial in trials]
    warm = [plan for plan in plans if plan.get("warm_start") is not None]
    assert warm
    for trial, plan in zip(trials[1:], plans[1:], strict=True):
        most = plan.get("prune").epochs + plan.get("quantize").epochs
        assert trial.user_attrs["epochs_trained"] <= most
    assert {plan.get("prune").epochs for plan in warm} == {1}


def test_confirming_trains_the_chosen_plan_with_other_seeds(tmp_path: Path) -> None:
    arguments = ("--epochs", "1", "--sparsity", "0,0.9", "--precision", "8")
    assert start(tmp_path, *arguments, "--objective", "saving", "--confirm", "2") == 0
    study = stored(tmp_path)
    made = study.user_attrs[CONFIRMATION]
    assert made["trial"] == study.best_trial.number
    assert made["seeds"] == [1, 2]
    assert len(set(made["test_score"])) == 2
    for seed, size in zip(made["seeds"], made["bytes"], strict=True):
        file = tmp_path / "s" / "confirm" / f"seed-{seed}.onnx"
        assert file.stat().st_size > size > 0
    assert any("confirmed with 2 other seeds" in note for note in notes(StudyTable(study)))


def test_a_seed_with_which_the_plan_fails_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverging(*_: object) -> Result:
        raise TrainingDivergedError("The loss became nan.")

    monkeypatch.setattr("search.workers.confirm._result", diverging)
    arguments = ("--epochs", "1", "--sparsity", "0", "--precision", "16")
    assert start(tmp_path, *arguments, "--confirm", "1") == 0
    said = notes(StudyTable(stored(tmp_path)))
    assert "Trial 0 cannot be scored with seed 1: The loss became nan." in said


def test_the_command_of_a_trial_makes_its_file_again(tmp_path: Path) -> None:
    arguments = ("--space", "wide", "--sampler", "random", "--objective", "pareto")
    assert start(tmp_path, *arguments, "--epochs", "1", "--trials", "2", "--seed", "3") == 0
    study = stored(tmp_path)
    table = StudyTable(study)
    row = next(row for row in table.rows if row.trial.number == 1)
    command = remake_command(table.config, row.plan, "again")
    assert command is not None
    report = (tmp_path / "s" / "report.md").read_text()
    assert command.replace("again", "s-trial-1") in report or row.label not in report
    import shlex

    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "search.run"]
    other = tmp_path / "elsewhere"
    assert words[words.index("--accelerator") + 1] == "cpu"
    assert run.main([*words[3:], "--studies-dir", str(other)]) == 0
    again = other / "again" / "artifacts" / "trial-0000.onnx"
    assert again.read_bytes() == (tmp_path / "s/artifacts/trial-0001.onnx").read_bytes()


def test_the_command_of_a_trial_names_preset_and_coders() -> None:
    methods = ("prune", "cluster", "huffman")
    config = StudyConfig(
        model="cnn",
        data="mnist",
        preset="quick",
        space="wide",
        methods=methods,
        epochs=2,
        qat_epochs=1,
        batch_size=128,
        lr=1e-3,
    )
    command = remake_command(config, config.plan(), "again")
    assert command is not None
    assert "--preset quick" in command
    assert "--train-fraction 1.0" in command  # the preset alone would say less
    assert "--methods prune,cluster,huffman" in command


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("--stopping-rule", "median", "--objective", "pareto"),
            "`--stopping-rule goes with one objective, not with pareto` must hold",
        ),
        (("--warm-start",), "`--warm-start goes with a sampler and with one sparsity for all"),
        (("--warm-start", "--space", "layerwise"), "`--warm-start goes with a sampler"),
        (("--confirm", "0"), "Argument --confirm: must be greater than 0, but got 0"),
        (("--plan", "{}"), "The plan has no train, prune, quantize."),
        (("--plan", "{"), "The plan is not JSON:"),
        (("--plan", "[1]"), "The plan is not one:"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = start(tmp_path, *arguments)
    except SystemExit as exit_:
        code = exit_.code
    assert code == 2
    err = capsys.readouterr().err
    assert err.startswith(line)
    assert err.count("\n") == 1
    assert not (tmp_path / "s.db").exists()
