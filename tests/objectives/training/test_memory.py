import pytest
import torch

from objectives.errors import TrialError
from objectives.training.memory import OutOfMemoryError, told_when_memory_runs_out


@pytest.mark.faults
def test_torch_that_gets_no_memory_fails_the_trial_with_its_reason() -> None:
    line = r"Memory ran out: .*can't allocate memory"
    with pytest.raises(OutOfMemoryError, match=line) as caught, told_when_memory_runs_out():
        torch.empty(2**60, dtype=torch.uint8)
    assert isinstance(caught.value, TrialError)
    assert "\n" not in str(caught.value)


@pytest.mark.faults
def test_python_that_gets_no_memory_does_too() -> None:
    line = "Memory ran out: MemoryError"
    with pytest.raises(OutOfMemoryError, match=line), told_when_memory_runs_out():
        bytearray(2**60)


@pytest.mark.parametrize("bug", [RuntimeError("shapes differ"), KeyError("x")])
def test_a_bug_stays_a_bug(bug: Exception) -> None:
    with pytest.raises(type(bug)) as caught, told_when_memory_runs_out():
        raise bug
    assert caught.value is bug
