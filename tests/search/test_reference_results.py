"""The committed results keep what their READMEs say of them."""

import shutil
import subprocess
from pathlib import Path
from statistics import mean

import pytest

from benchmarks.figures.rows import read
from models.data.mnist5k import MNIST5k
from models.data_source import DataOptions
from objectives.artifact.c_source import MAIN, write_c
from objectives.artifact.measure import measure_any
from objectives.runtimes import runtime_named
from search.results.paper import rerun_rows

STUDIES = Path(__file__).parents[2] / "studies"
GRID = STUDIES / "2026-11-27-cnn-mnist"
SEEDS = (0, 1, 2)


def rows(kind: str, seed: int) -> dict[tuple[float, int], dict[str, float]]:
    names = ("artifact_bytes", "baseline_bytes", "test_accuracy_pct", "test_delta_pct")
    return {
        (float(row["sparsity"]), int(row["precision"])): {name: float(row[name]) for name in names}
        for row in read(GRID / f"{kind}-seed{seed}.csv")
    }


@pytest.mark.parametrize("kind", ["qat", "ptq"])
def test_sizes_and_accuracies_reach_those_of_the_papers_stack(kind: str) -> None:
    """Sizes in each row of each seed, accuracies in the mean of the seeds."""
    rerun = rerun_rows("cnn_mnist")
    seeds = [rows(kind, seed) for seed in SEEDS]
    for point, theirs in rerun.items():
        ours = [seed[point] for seed in seeds]
        assert all(row["artifact_bytes"] <= theirs.size_bytes for row in ours)
        accuracy = mean(row["test_accuracy_pct"] for row in ours)
        if point == (0.0, 32):
            assert accuracy >= 97.5
        if point[0] == 0.9:
            assert accuracy >= 95
        if point[0] >= 0.9:
            assert accuracy >= theirs.accuracy_min_pct


def test_global_allocation_keeps_80_percent_at_99_percent_sparsity() -> None:
    accuracies = [
        row["test_accuracy_pct"]
        for seed in SEEDS
        for point, row in rows("global", seed).items()
        if point[0] == 0.99
    ]
    assert len(accuracies) == 3 * len(SEEDS)
    assert mean(accuracies) >= 80


@pytest.mark.parametrize("kind", ["qat", "ptq", "global"])
@pytest.mark.parametrize("seed", SEEDS)
def test_all_rows_of_a_seed_have_its_baseline(kind: str, seed: int) -> None:
    ours = rows(kind, seed)
    baseline = ours[0.0, 32]
    for row in ours.values():
        delta = row["test_accuracy_pct"] - baseline["test_accuracy_pct"]
        assert row["baseline_bytes"] == baseline["artifact_bytes"]
        assert row["test_delta_pct"] == pytest.approx(delta)


@pytest.mark.parametrize(
    ("folder", "factor", "drop", "baseline_pct"),
    [
        ("2026-11-24-lenet300-deep-compression", 100, 0.2, 98.4),
        ("2026-11-25-lenet5-deep-compression", 150, 0.2, 99.2),
    ],
)
def test_lenets_reach_their_factor_within_the_limit(
    folder: str, factor: float, drop: float, baseline_pct: float
) -> None:
    seeds = read(STUDIES / folder / "seeds.csv")
    files = read(STUDIES / folder / "files.csv")
    raw = float(seeds[0]["baseline_raw_bytes"])
    assert len(seeds) == len(files) == len(SEEDS)
    assert mean(raw / float(row["container_bytes"]) for row in files) >= factor
    assert mean(float(row["test_delta_pct"]) for row in seeds) >= -drop
    for row in seeds:
        baseline = float(row["test_accuracy_pct"]) - float(row["test_delta_pct"])
        assert baseline >= baseline_pct


def test_the_network_for_a_microcontroller_fits_and_answers(tmp_path: Path) -> None:
    """Also as C: some of these digits it was trained on, so 97 % is a floor, no result."""
    file = STUDIES / "2026-11-27-lenet5-microcontroller" / "model.tflite"
    data = MNIST5k(DataOptions())
    data.setup()
    measured = measure_any(file, data, runtime=runtime_named("tflite-micro"))
    assert measured.test_score >= 97
    assert measured.artifact_raw_bytes <= 32 * 1024
    assert measured.ram_bytes is not None
    assert measured.ram_bytes <= 16 * 1024
    sources = [each for each in write_c(file, tmp_path, data) if each.suffix == ".c"]
    assert MAIN in {each.name for each in sources}
    if shutil.which("gcc") is None:
        pytest.skip("gcc compiles what is tried here")
    subprocess.run(["gcc", "-std=c11", "-o", tmp_path / "check", *sources], check=True)
    assert subprocess.run([tmp_path / "check"], capture_output=True, check=False).returncode == 0
