import pytest
from torch import nn

from search.crew import SMALL_NETWORK, Crew, crew_for

SMALL, LARGE = nn.Linear(10, 10), nn.Linear(SMALL_NETWORK, 1)


@pytest.mark.parametrize(
    ("network", "given", "crew"),
    [
        (SMALL, {}, Crew(workers=4, threads=1)),
        (SMALL, {"trials": 3}, Crew(workers=3, threads=1)),
        (SMALL, {"trials": 0}, Crew(workers=1, threads=1)),
        (SMALL, {"workers": 1}, Crew(workers=1, threads=1)),
        (SMALL, {"threads": 2}, Crew(workers=2, threads=2)),
        (LARGE, {}, Crew(workers=1, threads=4)),
        (LARGE, {"workers": 2}, Crew(workers=2, threads=2)),
        (LARGE, {"workers": 9}, Crew(workers=9, threads=1)),
    ],
)
def test_four_cores_are_shared_out(
    network: nn.Module, given: dict[str, int], crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.crew.os.cpu_count", lambda: 4)
    assert crew_for(network, "cpu", **({"trials": 18} | given)) == crew


def test_gpus_are_shared_out_as_they_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.crew.torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    crew = crew_for(SMALL, "cuda", trials=18, trials_per_gpu=2)
    assert (crew.workers, crew.gpus) == (4, ("3", "5"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert crew_for(SMALL, "cuda", trials=18).gpus == ("0", "1")
