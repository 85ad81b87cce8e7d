"""Fixtures that several test files share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that `import toys` works in importlib mode

import torch
from toys import FewDigits, toy_context

from objectives.context import Context
from objectives.network.state import NetworkState

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits() -> FewDigits:
    data = FewDigits()
    data.setup()
    return data


@pytest.fixture
def context(digits: FewDigits) -> Context:
    return toy_context(digits)


@pytest.fixture(scope="session")
def baseline(digits: FewDigits) -> NetworkState:
    """A network after three epochs."""
    from toys import toy_plan

    return toy_plan(epochs=3).train.apply(NetworkState(weights={}), toy_context(digits))


@pytest.fixture(autouse=True)
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands run trials in this process, where tests can reach them, unless told else."""
    for module in ("search.run", "search.workers.processes"):
        monkeypatch.setattr(f"{module}.usable_cores", lambda: 1)
