import errno
import json
import os
import time
from pathlib import Path

import pytest
import torch

from objectives.cache.stage_cache import StageCache, StageKey
from objectives.errors import DiskFullError
from objectives.network.state import ActivationFormat, LayerFormat, NetworkState
from objectives.progress import SilentProgress, StopRequested

KEY = StageKey.of(stage="prune", sparsity=0.5)


SHARED = ActivationFormat(
    scale=torch.tensor(0.3), zero_point=torch.tensor(7, dtype=torch.uint8), bits=8
)


def a_state(value: float = 1.0) -> NetworkState:
    return NetworkState(
        weights={"dense.weight": torch.full((2, 3), value), "dense.bias": torch.zeros(2)},
        masks={"dense": torch.tensor([[True, False, True], [True, True, False]])},
        formats={
            "dense": LayerFormat(
                bits=8,
                weight_scale=torch.tensor([0.1, 0.2]),
                weight_zero_point=torch.tensor([0, 3], dtype=torch.int8),
                input_scale=SHARED.scale,
            ),
            "conv": LayerFormat(bits=16),
        },
        activations={"input": SHARED, "add_1": SHARED},
        checkpoint_bytes=123,
    )


def compute_nothing() -> NetworkState:
    raise AssertionError("It was in the cache.")


def equal(first: NetworkState, second: NetworkState) -> bool:
    ours, theirs = first.to_tensors(), second.to_tensors()
    return ours.keys() == theirs.keys() and all(
        torch.equal(ours[name], theirs[name]) and ours[name].dtype == theirs[name].dtype
        for name in ours
    )


def test_a_state_survives_the_round_trip(tmp_path: Path) -> None:
    cache = StageCache(tmp_path)
    assert KEY not in cache
    _, computed = cache.get_or_compute(KEY, a_state, SilentProgress())
    assert computed
    assert KEY in cache
    state, computed = cache.get_or_compute(KEY, compute_nothing, SilentProgress())
    assert not computed
    assert equal(state, a_state())


def test_another_process_tells_what_is_computed_now(tmp_path: Path) -> None:
    cache, elsewhere = StageCache(tmp_path / "cache"), StageCache(tmp_path / "cache")
    assert not elsewhere.is_computed_elsewhere(KEY)
    assert not (tmp_path / "cache").exists()

    def compute() -> NetworkState:
        assert elsewhere.is_computed_elsewhere(KEY)
        assert not elsewhere.is_computed_elsewhere(StageKey.of(stage="prune", sparsity=0.9))
        return a_state()

    cache.get_or_compute(KEY, compute, SilentProgress())
    assert not elsewhere.is_computed_elsewhere(KEY)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("ending", "damage"),
    [
        ("safetensors", "half"),
        ("safetensors", "empty"),
        ("safetensors", "flipped"),
        ("json", "half"),
        ("json", "empty"),
    ],
)
def test_a_damaged_entry_is_computed_again(
    tmp_path: Path, ending: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = StageCache(tmp_path)
    cache.get_or_compute(KEY, a_state, SilentProgress())
    file = tmp_path / f"{KEY.digest}.{ending}"
    content = file.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    file.write_bytes({"half": content[:middle], "empty": b"", "flipped": flipped}[damage])
    _, computed = cache.get_or_compute(KEY, lambda: a_state(2.0), SilentProgress())
    assert computed
    assert "is damaged; it is computed again" in caplog.text
    again, _ = cache.get_or_compute(KEY, compute_nothing, SilentProgress())
    assert equal(again, a_state(2.0))


def test_a_computation_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> NetworkState:
        raise StopRequested

    cache = StageCache(tmp_path)
    with pytest.raises(StopRequested):
        cache.get_or_compute(KEY, fail, SilentProgress())
    assert KEY not in cache
    _, computed = cache.get_or_compute(KEY, a_state, SilentProgress())
    assert computed


def test_any_fact_changes_the_key() -> None:
    facts = {"stage": "prune", "settings": {"sparsity": 0.5}, "before": "", "seed": 0}
    digests = {StageKey.of(**facts).digest}
    for change in ({"stage": "x"}, {"settings": {"sparsity": 0.6}}, {"before": "1"}, {"seed": 1}):
        digests.add(StageKey.of(**(facts | change)).digest)
    assert len(digests) == 5


def put(cache: StageCache, folder: Path, number: int, *, seconds: float) -> StageKey:
    """Compute an entry that says it took `seconds`."""
    key = StageKey.of(number=number)
    cache.get_or_compute(key, a_state, SilentProgress())
    file = folder / f"{key.digest}.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"seconds": seconds}))
    return key


def test_a_full_cache_drops_what_is_quickest_to_compute_again(tmp_path: Path) -> None:
    slow = put(StageCache(tmp_path), tmp_path, 1, seconds=50)
    size = next(tmp_path.glob("*.safetensors")).stat().st_size
    cache = StageCache(tmp_path, limit_bytes=3 * size)
    quick = put(cache, tmp_path, 2, seconds=3)
    middle = put(cache, tmp_path, 3, seconds=20)
    newer = put(cache, tmp_path, 4, seconds=1)
    newest = put(cache, tmp_path, 5, seconds=1)
    kept = [key in cache for key in (slow, quick, middle, newer, newest)]
    assert kept == [True, False, True, False, True]
    assert sum(file.stat().st_size for file in tmp_path.glob("*.safetensors")) <= 3 * size


def test_an_entry_that_another_process_removes_meanwhile_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "gone.safetensors").symlink_to(tmp_path / "removed")  # listed, but not there
    _, computed = StageCache(tmp_path).get_or_compute(KEY, a_state, SilentProgress())
    assert computed
    assert KEY in StageCache(tmp_path)


def test_what_killed_writers_left_is_removed_after_a_day(tmp_path: Path) -> None:
    old = [tmp_path / f".{KEY.digest}.{ending}.x1" for ending in ("safetensors", "json")]
    new = [tmp_path / f".{KEY.digest}.{ending}.x2" for ending in ("safetensors", "json")]
    for hours, files in ((25, old), (23, new)):
        for file in files:
            file.write_bytes(b"half")
            os.utime(file, times=(time.time() - hours * 3600,) * 2)
    StageCache(tmp_path).get_or_compute(KEY, a_state, SilentProgress())
    assert not any(file.exists() for file in old)
    assert all(file.exists() for file in new)


def test_an_entry_larger_than_the_whole_cache_is_not_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = StageCache(tmp_path, limit_bytes=10)
    state, computed = cache.get_or_compute(KEY, a_state, SilentProgress())
    assert computed
    assert equal(state, a_state())
    assert KEY not in cache
    assert "larger than the whole cache" in caplog.text


@pytest.mark.faults
def test_a_full_disk_is_a_line_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("objectives.files.os.fsync", full)
    with pytest.raises(
        DiskFullError, match=r"No space is left for .*safetensors \([0-9,]+ bytes\)"
    ):
        StageCache(tmp_path).get_or_compute(KEY, a_state, SilentProgress())
    monkeypatch.undo()
    assert {file.suffix for file in tmp_path.iterdir()} == {".lock"}
    _, computed = StageCache(tmp_path).get_or_compute(KEY, a_state, SilentProgress())
    assert computed
