import pytest
import torch
from torch import Tensor

from objectives.training.fake_quantize import WeightGrid, fake_quantize, per_channel
from objectives.training.learned_scale import quantize_learning

GRIDS = [
    WeightGrid(bits, symmetric, per_channel)
    for bits in (8, 4, 2)
    for symmetric in (True, False)
    for per_channel in (True, False)
]


Case = tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]


def random_case(grid: WeightGrid) -> Case:
    """Return weight, gradient, log gain, scale and zero point; some weights are out of range."""
    generator = torch.Generator().manual_seed(grid.bits)
    weight, gradient = torch.randn(2, 24, 5, 3, 3, generator=generator)
    log_gain = 0.1 * torch.randn(24 if grid.per_channel else 1, generator=generator)
    zero_point = torch.randint(grid.low, grid.high, (24, 1, 1, 1), generator=generator).char()
    scale = torch.full((24, 1, 1, 1), 1.5 / grid.high)
    return weight, gradient, log_gain, scale, None if grid.symmetric else zero_point


def by_autograd(
    x: Tensor, log_gain: Tensor, scale: Tensor, zero_point: Tensor | None, low: int, high: int
) -> Tensor:
    """Return the same as the textbook writes it: round(x) as x + (round(x) - x).detach()."""
    s, z = scale * per_channel(log_gain.exp(), x), 0 if zero_point is None else zero_point
    scaled = x / s
    rounded = scaled + (scaled.round() - scaled).detach()
    return ((rounded + z).clamp(low, high) - z) * s


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_values_and_gradients_are_those_of_autograd(grid: WeightGrid) -> None:
    weight, gradient, log_gain, scale, zero_point = random_case(grid)
    found = []
    for quantize in (quantize_learning, by_autograd):
        x, g = weight.clone().requires_grad_(), log_gain.clone().requires_grad_()
        result = quantize(x, g, scale, zero_point, grid.low, grid.high)
        result.backward(gradient)
        found.append((result, x.grad, g.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_values_are_those_that_scales_which_stay_give(grid: WeightGrid) -> None:
    weight, _, log_gain, scale, zero_point = random_case(grid)
    learned = quantize_learning(weight, log_gain, scale, zero_point, grid.low, grid.high)
    scale = scale * per_channel(log_gain.exp(), weight)
    assert torch.equal(learned, fake_quantize(weight, scale, zero_point, grid.low, grid.high))


@pytest.mark.parametrize("symmetric", [True, False])
def test_in_parts_the_bits_are_the_same(symmetric: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = WeightGrid(8, symmetric)
    weight, gradient, log_gain, scale, zero_point = random_case(grid)
    found = []
    for part in (2**20, 100):
        monkeypatch.setattr("objectives.training.learned_scale.PART", part)
        x, g = weight.clone().requires_grad_(), log_gain.clone().requires_grad_()
        result = quantize_learning(x, g, scale, zero_point, grid.low, grid.high)
        result.backward(gradient)
        found.append((result, x.grad, g.grad))
    for whole, in_parts in zip(*found, strict=True):
        assert torch.equal(whole, in_parts)
