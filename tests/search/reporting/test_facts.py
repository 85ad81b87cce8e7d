"""What the page's script is told of trials, and what its sliders offer."""

from types import SimpleNamespace
from typing import Any

import pytest
from optuna.trial import TrialState, create_trial
from toys import made_attributes, toy_plan

from search.reporting.facts import beside_the_baseline, costs, sliders
from search.results.row import GZIP, Row
from search.settings.config import StudyConfig


def a_row(**facts: Any) -> Row:
    trial = create_trial(state=TrialState.COMPLETE, value=1.0, user_attrs=made_attributes(**facts))
    return Row(trial, None, None, True, toy_plan(0.9, 8), GZIP)


def offered(*rows: Row, **settings: Any) -> dict[str, tuple[list[float], float]]:
    """The steps of each slider, and where it stands at first."""
    config = StudyConfig(
        model="cnn",
        data="mnist",
        **{"batch_size": 1, "epochs": 1, "lr": 1.0, "qat_epochs": 0} | settings,
    )
    found = sliders(SimpleNamespace(config=config, rows=list(rows)))  # type: ignore[arg-type]
    return {each["name"]: (each["steps"], each["steps"][each["start"]]) for each in found}


def test_what_may_be_lost_begins_at_half_a_point_or_the_studys_limit() -> None:
    rows = [a_row(val_delta_pct=delta) for delta in (0.2, -1.2)]
    assert offered(*rows) == {"drop": ([0, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5], 0.5)}
    steps, start = offered(*rows, max_drop=0.4)["drop"]
    assert (start, steps.index(0.4)) == (0.4, 4)
    assert offered(*rows, max_drop=12)["drop"][1] == 12


def test_bytes_latency_and_memory_have_sliders_where_they_are_minimized_or_limited() -> None:
    rows = [
        a_row(artifact_bytes=size, latency_ms=ms, ram_bytes=2048)
        for size, ms in ((10, 0.5), (30, 0.1))
    ]
    assert offered(*rows).keys() == {"drop"}
    pareto = offered(*rows, objective="pareto", extra_objectives=("latency",))
    assert pareto["bytes"] == ([10, 30], 30)
    assert pareto["latency_ms"] == ([0.1, 0.5], 0.5)
    assert offered(*rows, max_ram_kb=16)["ram_kb"] == ([2, 16], 16)


@pytest.mark.parametrize(("delta", "drop"), [(-1.5, 1.5), (float("-inf"), 1e9)])
def test_an_infinite_loss_is_told_as_a_number(delta: float, drop: float) -> None:
    assert costs(a_row(val_delta_pct=delta))["drop"] == drop


def test_a_file_is_told_beside_the_network_as_it_was() -> None:
    facts = {"artifact_bytes": 500, "baseline_bytes": 1000, "reduction_factor": 2.0}
    facts |= {"latency_ms": 0.2, "baseline_latency_ms": 0.1, "test_accuracy_pct": 97.0}
    facts |= {"baseline_test_score": 98.0, "test_delta_pct": -1.0, "test_quality": 0.0}
    facts |= {"test_saving": 0.0}
    lines = {line[0]: line[1:] for line in beside_the_baseline(a_row(**facts))}
    assert lines["size (gzip)"] == ("1,000 B", "500 B", "2.00 times smaller")
    assert lines["test accuracy"] == ("98.00 %", "97.00 %", "-1.00 points")
    assert lines["latency, one thread"] == ("0.100 ms", "0.200 ms", "2.00 times more")
