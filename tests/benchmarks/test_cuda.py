"""The hour with a GPU, small and on the CPU: every part, and a grid that goes on elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.cuda import travel
from benchmarks.cuda.__main__ import PARTS, main
from objectives.cache.stage_cache import StageCache, StageKey
from objectives.network.state import NetworkState
from objectives.progress import SilentProgress
from search.storage.database import open_storage
from search.storage.paths import StudyPaths


def smoke(out: Path, work: Path, *options: str) -> list[dict[str, Any]]:
    assert main([str(out), "--work", str(work), "--smoke", *options]) == 0
    return [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]


@pytest.mark.filterwarnings("ignore")  # torch's compiler and profiler tell much of themselves
def test_every_part_runs_and_the_grid_goes_on_in_another_folder(tmp_path: Path) -> None:
    rows = smoke(tmp_path / "first", tmp_path / "here")
    ended = [row["part"] for row in rows if "seconds_in_all" in row]
    assert ended == list(PARTS)
    assert not [row for row in rows if "failed" in row or "left_out" in row]
    assert [row for row in rows if row["part"] == "steps" and row.get("bare_images_per_s", 0) > 0]
    assert [row for row in rows if row["part"] == "profile" and row["share"] > 0]
    ways = {row["way"] for row in rows if row["part"] == "sharing" and "way" in row}
    assert ways == {"alone", "plain step", "compiled step", "4 stacked", "2 sharing"}
    names = {path.name for path in (tmp_path / "first").iterdir()}
    assert len(names) <= 8
    assert {"rows.jsonl", "study.tar.0", "resnet20.safetensors", "report.md"} <= names

    again = smoke(
        tmp_path / "second", tmp_path / "there",
        "--resume", str(tmp_path / "first"), "--parts", "grid",
    )  # fmt: skip
    trials = [row for row in rows + again if "trial" in row]
    points = [(row["sparsity"], row["precision"]) for row in trials]
    assert points[:5] == [(0.0, 32), (0.99, 8), (0.9, 8), (0.99, 32), (0.0, 8)]
    assert len(set(points)) == len(points) == 6
    assert [row["epochs_trained"] for row in trials[3:5]] == [0, 1]  # nothing is trained again
    assert len(again[0]["resumed"]) == 3


def test_without_a_gpu_nothing_but_a_smoke_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("There is no GPU here; `--smoke`")
    assert not (tmp_path / "out").exists()


def a_study(root: Path) -> tuple[StudyPaths, list[str], NetworkState]:
    """A study with two equal entries in its cache, of a network with pruned weights."""
    paths = StudyPaths(root, "s")
    paths.make()
    open_storage(paths.url)
    weight = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    mask = weight.abs() > 1
    state = NetworkState(
        weights={
            "a.weight": weight * mask,
            "a.bias": torch.randn(2 * travel.LARGE),
            "n": torch.tensor(3),
        },
        masks={"a": mask},
    )
    cache, digests = StageCache(paths.cache), []
    for name in "xy":
        key = StageKey.of(stage=name)
        cache.get_or_compute(key, lambda: state, SilentProgress())
        digests.append(key.digest)
    return paths, digests, state


def test_what_travels_is_near_and_keeps_its_zeros(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(travel, "PART_BYTES", 5_000)
    paths, digests, state = a_study(tmp_path / "here")
    forms = travel.pack(paths, digests, tmp_path / "out", limit_bytes=10**7)
    assert forms == dict.fromkeys(digests, "bfloat16")
    taken = (paths.folder / "packed" / f"{digests[0]}.bfloat16").stat().st_size
    forms = travel.pack(paths, digests, tmp_path / "out", limit_bytes=2 * taken - 1)
    assert forms == {digests[0]: "bfloat16", digests[1]: "int8"}
    assert len(list((tmp_path / "out").iterdir())) > 2
    there = StudyPaths(tmp_path / "there", "s")
    assert travel.unpack(tmp_path / "out", there) == forms
    assert there.database.is_file()
    weight = state.weights["a.weight"]
    for name, tolerance in (("x", 2**-8), ("y", 1 / 127)):
        key = StageKey.of(stage=name)
        read, computed = StageCache(there.cache).get_or_compute(key, state_of, SilentProgress())
        assert not computed
        given = read.weights["a.weight"]
        assert given.dtype == torch.float32
        assert torch.equal(given == 0, weight == 0)
        largest = weight.flatten(1).abs().amax(1).view(-1, 1, 1, 1)
        assert ((given - weight).abs() <= largest * tolerance).all()
        assert torch.equal(read.weights["a.bias"], state.weights["a.bias"])
        assert torch.equal(read.masks["a"], state.masks["a"])


def state_of() -> NetworkState:
    raise AssertionError("it is in the cache")


def test_what_does_not_fit_stays(tmp_path: Path) -> None:
    paths, digests, _ = a_study(tmp_path / "here")
    assert travel.pack(paths, digests, tmp_path / "out", limit_bytes=1_000) == {}
    assert travel.unpack(tmp_path / "out", StudyPaths(tmp_path / "there", "s")) == {}


def test_a_folder_without_a_study_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no study\.tar\.0"):
        travel.unpack(tmp_path, StudyPaths(tmp_path, "s"))
