from dataclasses import replace

import pytest
import torch
from toys import FewDigits, toy_context, toy_plan

from models.pixels import to_pixels
from objectives.context import Context
from objectives.network.state import NetworkState
from objectives.training.activations import attach_activations_
from objectives.training.fake_quantize import WeightGrid, asymmetric_range, fake_quantize, fit_grid


@pytest.fixture(scope="module")
def pruned(baseline: NetworkState, digits: FewDigits) -> NetworkState:
    return toy_plan(0.9).get("prune").apply(baseline, toy_context(digits))


def test_fake_quantize_equals_torchs_per_channel() -> None:
    weight = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    for symmetric in (True, False):
        grid = WeightGrid(8, symmetric)
        scale, zero_point = fit_grid(weight, grid)
        ours = fake_quantize(weight, scale[:, None], zero_point[:, None], grid.low, grid.high)
        theirs = torch.fake_quantize_per_channel_affine(
            weight, scale, zero_point.int(), 0, grid.low, grid.high
        )
        assert torch.equal(ours, theirs)


def test_fake_quantize_equals_torchs_per_tensor_with_a_zero_point() -> None:
    values = torch.linspace(-2, 4, 1001)
    scale, zero_point = asymmetric_range(torch.tensor(-1.0), torch.tensor(2.984375))
    assert (scale, zero_point) == (1 / 64, 64)
    ours = fake_quantize(values, scale, zero_point, 0, 255)
    theirs = torch.fake_quantize_per_tensor_affine(values, scale.item(), int(zero_point), 0, 255)
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_gradient_passes_inside_the_range_only() -> None:
    values = torch.tensor([-200.0, 0.4, 200.0], requires_grad=True)
    fake_quantize(values, torch.tensor(1.0), torch.tensor(0.0), -127, 127).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [0.0, 1.0, 0.0]


def test_the_largest_weight_of_a_channel_is_the_largest_integer() -> None:
    weight = torch.tensor([[1.27, -0.5], [0.0, 0.0], [-2.54, 0.1]])
    scale, zero_point = fit_grid(weight, WeightGrid(8))
    assert scale.tolist() == pytest.approx([0.01, 0.02, 0.02])
    assert zero_point.tolist() == [0, 0, 0]
    assert fit_grid(weight, WeightGrid(8, per_channel=False))[0].tolist() == pytest.approx(
        [0.02] * 3
    )


def test_an_asymmetric_grid_reaches_from_the_smallest_to_the_largest_weight() -> None:
    weight = torch.tensor([[-0.51, 2.04]])
    scale, zero_point = fit_grid(weight, WeightGrid(8, symmetric=False))
    assert scale.tolist() == pytest.approx([0.01])
    assert zero_point.tolist() == [-128 + 51]


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6])
def test_below_8_bits_the_range_is_the_one_with_the_least_error(bits: int) -> None:
    weight = torch.randn(4, 500, generator=torch.Generator().manual_seed(bits))
    grid = WeightGrid(bits)

    def error(scale: torch.Tensor) -> torch.Tensor:
        zeros = torch.zeros((), dtype=torch.int8)
        quantized = fake_quantize(weight, scale[:, None], zeros, grid.low, grid.high)
        return (quantized - weight).square().sum(1)

    chosen, _ = fit_grid(weight, grid)
    whole_range = weight.abs().amax(1) / grid.high
    assert bool((error(chosen) <= error(whole_range)).all())
    for factor in (0.97, 1.03):
        assert bool((error(chosen) <= 1.02 * error(factor * chosen)).all())


def test_ranges_hold_zero_exactly() -> None:
    scale, zero_point = asymmetric_range(torch.tensor(0.5), torch.tensor(2.55))
    assert (scale.item(), int(zero_point)) == (pytest.approx(0.01), 0)
    scale, zero_point = asymmetric_range(torch.tensor(0.0), torch.tensor(0.0))
    assert (scale.item(), int(zero_point)) == (1.0, 0)


def test_32_bits_are_neutral_and_16_are_not() -> None:
    assert toy_plan(0.5, 32).get("quantize").is_neutral
    assert not toy_plan(0.5, 16).get("quantize").is_neutral


def test_16_bits_round_every_weight_to_float16(pruned: NetworkState, context: Context) -> None:
    half = toy_plan(0.9, 16).get("quantize").apply(pruned, context)
    for name, weight in half.weights.items():
        assert torch.equal(weight, pruned.weights[name].half().float())


@pytest.mark.parametrize("qat_epochs", [0, 1])
def test_8_bit_weights_lie_on_their_grid_and_zeros_stay(
    qat_epochs: int, pruned: NetworkState, context: Context
) -> None:
    state = toy_plan(0.9, 8, qat_epochs=qat_epochs).get("quantize").apply(pruned, context)
    assert_on_grid(state)
    assert_zeros_stay(state, pruned)


@pytest.mark.parametrize("bits", [8, 6, 5, 4, 3, 2])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
def test_weights_of_any_grid_lie_on_it(
    bits: int, symmetric: bool, per_channel: bool, pruned: NetworkState, context: Context
) -> None:
    settings = replace(
        toy_plan(0.9, bits).get("quantize"), symmetric=symmetric, per_channel=per_channel
    )
    state = settings.apply(pruned, context)
    assert_on_grid(state)
    assert_zeros_stay(state, pruned)
    for stored in state.formats.values():
        assert len(stored.weight_scale.unique()) == 1 or per_channel


def assert_on_grid(state: NetworkState) -> None:
    for layer, stored in state.formats.items():
        weight = state.weights[f"{layer}.weight"]
        shape = (-1, *[1] * (weight.dim() - 1))
        steps = weight / stored.weight_scale.view(shape)
        assert torch.allclose(steps, steps.round(), atol=1e-4)
        integers = steps.round() + stored.weight_zero_point.view(shape)
        assert integers.min() >= -(2 ** (stored.bits - 1))
        assert integers.max() <= 2 ** (stored.bits - 1) - 1


def assert_zeros_stay(state: NetworkState, pruned: NetworkState) -> None:
    for layer, mask in pruned.masks.items():
        assert bool((state.weights[f"{layer}.weight"][~mask] == 0).all())


def test_qat_moves_weights_and_scales(pruned: NetworkState, context: Context) -> None:
    rounded, trained = (
        toy_plan(0.9, 8, qat_epochs=epochs).get("quantize").apply(pruned, context)
        for epochs in (0, 1)
    )
    for layer in rounded.formats:
        before, after = rounded.formats[layer], trained.formats[layer]
        assert not torch.equal(before.weight_scale, after.weight_scale)
    scales = [each.activations["view"].scale for each in (rounded, trained)]
    assert not torch.equal(*scales)
    assert torch.equal(trained.formats["dense"].input_scale, scales[1])


def test_calibration_reads_the_ranges_of_training_images(
    baseline: NetworkState, digits: FewDigits, context: Context
) -> None:
    """Of 420 images five are left out, those with the most extreme pixel or feature."""
    network = context.network_of(baseline)
    with torch.no_grad():
        pixels = to_pixels(digits.train.images)
        features = network.relu(network.pool(network.conv(pixels)))
    highest = features.flatten(1).amax(1).sort().values
    for rule, high in (("percentile", highest[-6]), ("extremes", highest[-1])):
        quantize = replace(toy_plan(0.0, 8, qat_epochs=0).get("quantize"), input_range=rule)
        activations = quantize.apply(baseline, context).activations
        assert activations["input"].scale == pytest.approx(1 / 255)
        assert activations["view"].scale == pytest.approx(high.item() / 255)
        assert int(activations["view"].zero_point) == 0


def test_attached_network_computes_with_quantized_inputs(
    baseline: NetworkState, context: Context
) -> None:
    state = toy_plan(0.0, 8, qat_epochs=0).get("quantize").apply(baseline, context)
    network = context.network_of(state)
    pixels = torch.rand(1, 1, 28, 28)
    plain = network(pixels)
    attach_activations_(network, context.values(state), state.activations)
    on_grid = (pixels * 255).round() / 255
    assert not torch.equal(network(pixels), plain)
    assert torch.allclose(network(pixels), network(on_grid), atol=1e-5)
