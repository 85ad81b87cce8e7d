import math

import pytest
import torch
from torch import Tensor

from objectives.container.payloads import SIGNED, Payload
from objectives.container.solid.stream import Stream
from objectives.container.solid.weights import Weights
from objectives.training.rate import MOST_LEVELS, RateModel


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pruned_integers(rows: int = 60, columns: int = 200, share: float = 0.1) -> Tensor:
    """Dead rows and dense ones, as of a pruned layer."""
    of_row = torch.rand(rows, 1, generator=seeded(1)) ** 3
    is_set = torch.rand(rows, columns, generator=seeded(2)) < 3 * share * of_row
    sizes = torch.randn(rows, columns, generator=seeded(3)) * 3
    return torch.where(is_set, sizes.round(), 0.0)


def test_bits_of_a_weight_whose_rows_are_alike_are_its_entropy() -> None:
    integers = torch.zeros(100, 100)
    integers[torch.arange(100), torch.arange(100)] = 1.0
    integers[torch.arange(100), torch.arange(100).roll(1)] = -2.0
    share = 0.02
    flags = -10_000 * (share * math.log2(share) + (1 - share) * math.log2(1 - share))
    assert RateModel.of(integers).bits(integers) == pytest.approx(flags + 200 * 2, rel=0.02)


def test_bits_are_about_those_that_the_coder_takes() -> None:
    integers = pruned_integers()
    payload = Payload(60, 200, 8, SIGNED, 0)
    stream = Stream()
    content = integers.to(torch.int8).numpy().tobytes()
    Weights(stream).encode(content, payload, may_be_plain=False)
    estimated = RateModel.of(integers).bits(integers) / 8
    assert 0.8 < estimated / len(stream.finish()) < 1.2


def test_an_element_of_a_dense_row_is_cheaper() -> None:
    integers = torch.zeros(50, 50)
    integers[0] = 1.0
    odds = RateModel.of(integers).log_odds()
    assert (odds[0] > 0).all()
    assert (odds[1:] < 0).all()


def test_slope_is_what_the_next_integer_costs_more() -> None:
    integers = pruned_integers()
    model = RateModel.of(integers)
    for magnitude in (0, 1, 4, MOST_LEVELS):
        here, there = (torch.full((60, 200), float(each)) for each in (magnitude, magnitude + 1))
        more = model.bits(there) - model.bits(here)
        assert float(model.slope(here + 0.5).sum()) == pytest.approx(more, rel=1e-3, abs=0.1)


def test_larger_magnitudes_never_cost_less() -> None:
    magnitude = RateModel.of(pruned_integers()).magnitude
    assert (magnitude.diff() >= 0).all()
    assert RateModel.of(torch.zeros(3, 4)).bits(torch.zeros(3, 4)) < 12
