from pathlib import Path

import pytest

from search.settings import cores


@pytest.mark.parametrize(
    ("told", "usable"),
    [("max 100000\n", 3), ("150000 100000\n", 2), ("10000 100000\n", 1), ("900000 100000\n", 3)],
)
def test_cores_are_those_that_a_container_leaves(
    told: str, usable: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(told)
    monkeypatch.setattr(cores, "CGROUP", tmp_path / "cpu.max")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert cores.usable_cores() == usable


def test_cores_are_those_that_the_process_may_run_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "CGROUP", tmp_path / "nowhere")
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {7}, raising=False)
    assert cores.usable_cores() == 1
