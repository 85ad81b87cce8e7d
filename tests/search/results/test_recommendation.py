"""What the recommendation says, of trials whose numbers are known."""

from types import SimpleNamespace
from typing import Any

import pytest
from optuna.trial import TrialState, create_trial
from toys import made_attributes, toy_plan

from search.results.recommendation import (
    change,
    given_up,
    headline,
    how_sure,
    most_accurate,
    no_recommendation,
)
from search.results.row import GZIP, RAW, Row
from search.results.table import StudyTable

ERROR = {"score_name": "MeanAbsoluteError", "score_mode": "min", "score_is_share": False}


def a_row(number: int = 0, counted: str = GZIP, **facts: Any) -> Row:
    known = {"artifact_bytes": 3806, "baseline_bytes": 76_438, "reduction_factor": 76_438 / 3806}
    known |= {"artifact_raw_bytes": 8000, "baseline_raw_bytes": 80_000, "container_bytes": 2000}
    known |= {"latency_ms": 0.032, "test_delta_pct": 0.3, "val_delta_pct": 0.1}
    known |= {"val_accuracy_pct": 97.5, "test_accuracy_pct": 98.0, "container_coder": "arithmetic"}
    trial = create_trial(
        state=TrialState.COMPLETE, value=1.0, user_attrs=made_attributes(**known | facts)
    )
    trial.number = number
    return Row(trial, None, None, True, toy_plan(0.9, 8), counted)


def best_of(*rows: Row) -> Row | None:
    return most_accurate(a_table(*rows))


def a_table(*rows: Row, **others: Any) -> StudyTable:
    return SimpleNamespace(rows=list(rows), attributes={}, **others)  # type: ignore[return-value]


CODED = "2,000 bytes coded instead of 76,438 after gzip"
GZIPPED = "3,806 instead of 76,438 bytes after gzip"


@pytest.mark.parametrize(
    ("row", "saved", "rest"),
    [
        (
            a_row(),
            f"20.1 times smaller than your network ({GZIPPED})",
            "0.30 points more accurate (98.00 % on test), 0.032 ms",
        ),
        (
            a_row(counted=RAW, reduction_factor=10.0, ram_bytes=5536, test_delta_pct=-1.25),
            "10.0 times smaller than your network (8,000 instead of 80,000 bytes in flash)",
            "1.25 points less accurate (98.00 % on test), 0.032 ms, 5.4 kB of RAM",
        ),
        (
            a_row(counted="arithmetic", reduction_factor=38.2, test_delta_pct=-0.001),
            f"38.2 times smaller than your network ({CODED})",
            "as accurate (98.00 % on test), 0.032 ms",
        ),
        (
            a_row(artifact_bytes=76_438, reduction_factor=1.0, test_delta_pct=0.0),
            "your network as it is (76,438 bytes after gzip)",
            "as accurate (98.00 % on test), 0.032 ms",
        ),
        (
            a_row(artifact_bytes=80_000, reduction_factor=76_438 / 80_000),
            "1.05 times larger than your network (80,000 instead of 76,438 bytes after gzip)",
            "0.30 points more accurate (98.00 % on test), 0.032 ms",
        ),
    ],
)
def test_headline(row: Row, saved: str, rest: str) -> None:
    assert headline(row) == f"{saved}, {rest}."


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (ERROR | {"test_score": 0.45714}, "0.30 % better in MeanAbsoluteError (0.4571 on test)"),
        (
            ERROR | {"test_score": 0.45714, "test_delta_pct": -2.0},
            "2.00 % worse in MeanAbsoluteError (0.4571 on test)",
        ),
        (
            {"score_name": "MulticlassF1Score", "test_score": 91.0, "test_delta_pct": -0.5},
            "0.50 points worse in MulticlassF1Score (91.00 % on test)",
        ),
        (
            ERROR | {"test_score": 0.5, "test_delta_pct": 0.0},
            "MeanAbsoluteError as before (0.5000 on test)",
        ),
    ],
)
def test_changes_of_other_scores(facts: dict[str, Any], told: str) -> None:
    assert change(a_row(**facts)) == told


def test_what_is_given_up_is_said() -> None:
    small = a_row(7, val_accuracy_pct=59.6, test_accuracy_pct=59.0)
    better = a_row(
        3, artifact_bytes=12_003, val_accuracy_pct=74.0, test_accuracy_pct=73.5, sparsity=0.5
    )
    assert given_up(small, best_of(small, better)) == (
        "Given up: trial 3 (50 % sparse, 8 bits) has 74.00 % instead of 59.60 % accuracy on "
        "validation (73.50 % instead of 59.00 % on test), in 12,003 bytes."
    )
    assert given_up(better, best_of(small, better)) == (
        "No trial has a better validation accuracy."
    )
    better.trial.set_constraint("max_bytes", 3.0)
    assert given_up(small, best_of(small, better)) == "No trial has a better validation accuracy."


def test_less_is_better_of_an_error() -> None:
    small = a_row(7, **ERROR, val_score=0.5, test_score=0.52)
    better = a_row(3, **ERROR, val_score=0.4, test_score=0.41)
    assert "trial 3 (" in given_up(small, best_of(small, better))
    assert "has 0.4000 instead of 0.5000 MeanAbsoluteError" in given_up(
        small, best_of(small, better)
    )
    assert given_up(better, best_of(small, better)).startswith("No trial has a better")


def test_how_sure_it_is() -> None:
    row = a_row(7)
    table = a_table(row)
    assert how_sure(table, row).startswith("One seed: ")
    made = {"trial": 7, "seeds": [1, 2, 3], "test_score": [97.0, 98.0, 99.0]}
    table.attributes["confirmation"] = made | {"bytes": [3000, 3100, 3200]}
    assert how_sure(table, row) == (
        "Trained anew with 3 other seeds: 98.00 ± 1.00 % accuracy on test, 3,100 ± 100 bytes."
    )
    assert how_sure(table, a_row(8)).startswith("One seed: ")


def test_a_limit_that_no_trial_keeps_is_told_with_the_nearest() -> None:
    rows = [a_row(number) for number in (0, 1)]
    for row, excess in zip(rows, (400.0, 200.0), strict=True):
        row.trial.set_constraint("max_bytes", excess)
    config = SimpleNamespace(
        max_bytes=3606, max_drop=None, max_latency_ms=None, max_ram_kb=None, max_flash_kb=None
    )
    assert no_recommendation(a_table(*rows, config=config)) == (
        "No trial keeps the limits that were set: none is recommended. The least is 3,806 bytes, "
        "of trial 1; 3606 were asked."
    )
