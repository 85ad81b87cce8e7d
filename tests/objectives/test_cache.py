from pathlib import Path

import pytest
import torch

from objectives.cache import StageCache, StageKey
from objectives.progress import SilentProgress, StopRequested
from objectives.state import LayerFormat, NetworkState

KEY = StageKey.of(stage="prune", sparsity=0.5)


def a_state(value: float = 1.0) -> NetworkState:
    return NetworkState(
        weights={"dense.weight": torch.full((2, 3), value), "dense.bias": torch.zeros(2)},
        masks={"dense": torch.tensor([[True, False, True], [True, True, False]])},
        formats={
            "dense": LayerFormat(
                bits=8,
                weight_scale=torch.tensor([0.1, 0.2]),
                input_scale=torch.tensor(0.3),
                input_zero_point=torch.tensor(7, dtype=torch.uint8),
            ),
            "conv": LayerFormat(bits=16),
        },
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
