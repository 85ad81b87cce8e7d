import pytest
import torch
from torch import Tensor

from objectives.training.rate import RateModel
from objectives.training.rate_distortion import quantize_rate_distortion

ROWS, COLUMNS = 20, 30
STEP = torch.tensor(0.1)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


WEIGHT = torch.randn(ROWS, COLUMNS, generator=seeded(1)) * 0.2


def moments_of_inputs() -> Tensor:
    mixing = torch.randn(COLUMNS, COLUMNS, generator=seeded(2))
    x = torch.randn(500, COLUMNS, generator=seeded(3)) @ mixing
    return x.T @ x / len(x)


def decided(moments: Tensor, rate: float = 0.0, keep: Tensor | None = None) -> Tensor:
    return quantize_rate_distortion(WEIGHT, STEP, moments, torch.ones(ROWS), rate, keep)


def error(integers: Tensor, moments: Tensor) -> float:
    off = WEIGHT - integers * STEP
    return float((off @ moments * off).sum())


def test_of_inputs_that_are_independent_each_weight_gets_the_nearest_integer() -> None:
    assert torch.equal(decided(torch.eye(COLUMNS)), (WEIGHT / STEP).round())


def test_of_inputs_that_are_not_answers_suffer_less_than_from_the_nearest() -> None:
    moments = moments_of_inputs()
    nearest = (WEIGHT / STEP).round()
    assert error(decided(moments), moments) < 0.7 * error(nearest, moments)


def test_a_dearer_bit_gives_fewer_bits_and_a_larger_error() -> None:
    moments = moments_of_inputs()
    found = [decided(moments, rate) for rate in (0.0, 0.1, 1.0)]
    bits = [RateModel.of(each).bits(each) for each in found]
    errors = [error(each, moments) for each in found]
    assert bits == sorted(bits, reverse=True)
    assert errors == sorted(errors)
    assert bits[-1] < bits[0] / 2


def test_a_row_on_which_more_depends_keeps_more_bits() -> None:
    sensitivity = torch.ones(ROWS)
    sensitivity[0] = 1e6
    found = quantize_rate_distortion(WEIGHT, STEP, torch.eye(COLUMNS), sensitivity, 0.05)
    assert torch.equal(found[0], (WEIGHT[0] / STEP).round())
    assert (found[1:] == 0).float().mean() > 0.7


def test_what_was_pruned_stays_zero() -> None:
    keep = torch.rand(ROWS, COLUMNS, generator=seeded(4)) < 0.3
    found = decided(moments_of_inputs(), keep=keep)
    assert not found[~keep].any()
    assert found[keep].any()


def test_blocks_of_a_row_share_their_moments() -> None:
    moments = moments_of_inputs()[:10, :10]
    together = decided(torch.block_diag(moments, moments, moments))
    assert torch.equal(decided(moments), together)


@pytest.mark.parametrize("dead", [0, COLUMNS - 1])
def test_an_input_that_is_always_zero_costs_nothing(dead: int) -> None:
    moments = moments_of_inputs()
    moments[dead] = moments[:, dead] = 0.0
    found = decided(moments)
    nearest = (WEIGHT / STEP).round()
    assert found.isfinite().all()
    assert error(found, moments) < error(nearest, moments)
