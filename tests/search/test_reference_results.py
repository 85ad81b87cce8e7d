"""The committed results keep what their README says of them."""

import csv
from pathlib import Path

import pytest

from objectives.quality import paper_quality
from search.paper import rerun_rows

FOLDER = Path(__file__).parents[2] / "studies" / "2026-11-23-cnn-mnist"


def rows(table: str) -> dict[tuple[float, int], dict[str, float]]:
    numbers = {}
    for row in csv.DictReader((FOLDER / f"{table}.csv").read_text().splitlines()):
        point = float(row["sparsity"]), int(row["precision"])
        names = ("artifact_bytes", "baseline_bytes", "test_accuracy_pct", "test_quality")
        numbers[point] = {name: float(row[name]) for name in names}
        numbers[point]["reduction_factor"] = float(row["reduction_factor"])
    return numbers


@pytest.mark.parametrize("table", ["qat", "ptq"])
def test_sizes_and_accuracies_reach_those_of_the_papers_stack(table: str) -> None:
    ours, rerun = rows(table), rerun_rows("cnn_mnist")
    assert ours.keys() == rerun.keys()
    assert ours[0.0, 32]["test_accuracy_pct"] >= 97.5
    for point, row in ours.items():
        assert row["artifact_bytes"] <= 1.1 * rerun[point].size_bytes
        if point[0] == 0.9:
            assert row["test_accuracy_pct"] >= 95
        if point[0] >= 0.9:
            assert row["test_accuracy_pct"] >= rerun[point].accuracy_min_pct


def test_global_allocation_keeps_80_percent_at_99_percent_sparsity() -> None:
    accuracies = [
        row["test_accuracy_pct"] for point, row in rows("global").items() if point[0] == 0.99
    ]
    assert len(accuracies) == 3
    assert min(accuracies) >= 80


@pytest.mark.parametrize("table", ["qat", "ptq", "global"])
def test_reduction_factors_and_qualities_follow_from_their_columns(table: str) -> None:
    ours = rows(table)
    baseline = ours[0.0, 32]
    for point, row in ours.items():
        factor = baseline["artifact_bytes"] / row["artifact_bytes"]
        delta = row["test_accuracy_pct"] - baseline["test_accuracy_pct"]
        assert row["baseline_bytes"] == baseline["artifact_bytes"]
        assert row["reduction_factor"] == pytest.approx(factor)
        assert row["test_quality"] == pytest.approx(paper_quality(*point, delta, factor))


def test_lenet300_is_a_hundredth_of_its_float32_file_within_the_limit() -> None:
    folder = FOLDER.parent / "2026-11-24-lenet300-deep-compression"
    text = (folder / "search.csv").read_text()
    kept = [
        row for row in csv.DictReader(text.splitlines()) if float(row["val_delta_pct"]) >= -0.2
    ]
    chosen = min(kept, key=lambda row: int(row["container_bytes"]))
    baseline_pct = float(chosen["test_accuracy_pct"]) - float(chosen["test_delta_pct"])
    assert baseline_pct >= 98.4
    assert 1_067_083 / int(chosen["container_bytes"]) >= 100
    told = (folder / "README.md").read_text()
    assert f"{int(chosen['container_bytes']):,}" in told
    assert f"{float(chosen['test_delta_pct']):.2f}" in told
