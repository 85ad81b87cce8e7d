from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from search import run
from search.launch import Launch
from search.workers.processes import SMALL_NETWORK, Processes, default_threads, processes_for

SMALL, LARGE = nn.Linear(10, 10), nn.Linear(SMALL_NETWORK, 1)


@pytest.mark.parametrize(
    ("given", "workers"),
    [
        ({}, 4),
        ({"trials": 3}, 3),
        ({"trials": 0}, 1),
        ({"workers": 1}, 1),
        ({"threads": 2}, 2),
        ({"threads": 4}, 1),
        ({"threads": 9}, 1),
        ({"threads": 2, "workers": 9}, 9),
    ],
)
def test_four_cores_are_shared_out(
    given: dict[str, int], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.workers.processes.usable_cores", lambda: 4)
    assert processes_for("cpu", **({"trials": 18, "threads": 1} | given)) == Processes(
        workers=workers
    )


@pytest.mark.parametrize(
    ("network", "workers", "threads"),
    [(SMALL, None, 1), (LARGE, None, 4), (LARGE, 1, 4), (LARGE, 2, 2), (LARGE, 9, 1)],
)
def test_only_a_large_network_trains_with_more_than_one_thread(
    network: nn.Module, workers: int | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.workers.processes.usable_cores", lambda: 4)
    assert default_threads(network, workers) == threads


def test_gpus_are_shared_out_as_they_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.workers.processes.torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    processes = processes_for("cuda", trials=18, threads=1, trials_per_gpu=2)
    assert (processes.workers, processes.gpus) == (4, ("3", "5"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert processes_for("cuda", trials=18, threads=1).gpus == ("0", "1")


LARGE_NETWORK = """
from torch import nn

def large(input_shape, num_classes):
    return nn.Sequential(
        nn.Conv2d(1, 8, 5), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 24 * 24, 230), nn.ReLU(),
        nn.Linear(230, num_classes),
    )
"""


@pytest.fixture
def threads_put_back() -> Iterator[None]:
    yield
    torch.set_num_threads(1)


@pytest.mark.faults
@pytest.mark.usefixtures("threads_put_back")
def test_a_large_network_resumed_where_there_are_other_cores_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.py").write_text(LARGE_NETWORK)

    def files(folder: str, cores: int, *options: str) -> dict[str, bytes]:
        monkeypatch.setattr("search.workers.processes.usable_cores", lambda: cores)
        command = ["--model", f"{tmp_path / 'own.py'}:large", "--data", "mnist5k", *options]
        command += ["--epochs", "1", "--qat-epochs", "1", "--sparsity", "0,0.9"]
        command += ["--precision", "8", "--workers", "1", "--study", "s"]
        assert run.main([*command, "--studies-dir", str(tmp_path / folder)]) == 0
        artifacts = tmp_path / folder / "s" / "artifacts"
        return {path.name: path.read_bytes() for path in sorted(artifacts.glob("trial-*.onnx"))}

    undisturbed = files("undisturbed", 2)
    assert len(files("moved", 2, "--trials", "1")) == 1
    assert files("moved", 3) == undisturbed
    assert torch.get_num_threads() == 2
    assert files("one core", 1) != undisturbed


@pytest.mark.parametrize(
    ("options", "accelerator", "workers"),
    [
        ({}, "cpu", None),
        ({"workers": 3}, "cpu", 3),
        ({}, "cuda", 4),
        ({"workers": 3}, "cuda", 3),
        ({"workers": 3, "cluster": "tcp://host:8786"}, "cpu", 1),
    ],
)
def test_only_workers_of_this_machine_share_its_cores(
    options: dict[str, object],
    accelerator: str,
    workers: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("search.workers.processes.torch.cuda.device_count", lambda: 2)
    launch = Launch(**({"trials_per_gpu": 2} | options))
    assert launch.workers_here(accelerator) == workers
