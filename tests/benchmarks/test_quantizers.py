"""How bytes at a loss are read off the steps of a quantizer."""

from collections.abc import Iterator

import pytest

from benchmarks.quantizers import Coded, bytes_at
from objectives.network.state import NetworkState


def steps(*points: tuple[float, int]) -> tuple[Iterator[Coded], dict[int, float]]:
    return iter([(size, NetworkState(weights={})) for _, size in points]), {
        size: loss for loss, size in points
    }


def test_bytes_between_two_steps_lie_between_theirs() -> None:
    found, losses = steps((0.02, 4000), (0.2, 2000), (0.8, 1000), (9.0, 100))
    at = bytes_at((0.1, 0.4), found, lambda coded: losses[coded[0]])
    assert at == [pytest.approx(4000 / 2 ** (0.69897)), pytest.approx(2000 / 2**0.5)]


def test_a_loss_that_no_step_has_has_no_bytes() -> None:
    found, losses = steps((0.5, 4000), (3.0, 2000))
    assert bytes_at((0.1, 1.0), found, lambda coded: losses[coded[0]])[0] is None


def test_a_gain_counts_as_the_smallest_loss() -> None:
    found, losses = steps((-0.3, 4000), (0.1, 1000))
    (at,) = bytes_at((0.1,), found, lambda coded: losses[coded[0]])
    assert at == pytest.approx(1000)
