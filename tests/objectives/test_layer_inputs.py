import pytest
import torch
from torch import nn

from models.layers import compressible_layers
from objectives.fake_quantize import asymmetric_range, fake_quantize
from objectives.layer_inputs import input_moments, input_ranges

INPUTS = torch.randn(40, 4, 9, 7, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("block", [3, 6, 12])
def test_moments_of_a_convolution_are_those_of_its_unfolded_input(block: int) -> None:
    settings = {"kernel_size": (3, 2), "stride": 2, "padding": (1, 2), "dilation": (2, 1)}
    layer = nn.Conv2d(4, 6, groups=2, padding_mode="reflect", **settings)
    layers = compressible_layers(layer)
    moments = input_moments(layer, layers, INPUTS, {"weight": block})["weight"]
    padded = nn.functional.pad(INPUTS, (2, 2, 1, 1), mode="reflect")
    patches = nn.functional.unfold(padded, (3, 2), dilation=(2, 1), stride=2)
    x = patches.transpose(1, 2).reshape(-1, block)
    assert torch.allclose(moments, x.T @ x / len(x), atol=1e-5)


def test_moments_of_a_dense_layer_by_hand() -> None:
    """The blocks are (1, 2), (3, 4), (0, 0) and (1, -1)."""
    layer = nn.Linear(4, 2)
    inputs = torch.tensor([[1.0, 2, 3, 4], [0, 0, 1, -1]])
    moments = input_moments(layer, compressible_layers(layer), inputs, {"weight": 2})["weight"]
    assert moments.tolist() == [[11 / 4, 13 / 4], [13 / 4, 21 / 4]]


def test_a_layer_that_is_given_words_is_not_visited() -> None:
    network = nn.Sequential(nn.Embedding(5, 2), nn.Linear(2, 1))
    layers = compressible_layers(network)
    words = torch.arange(5)[:, None]
    low, high = network[0].weight.aminmax()
    assert input_ranges(network, layers, words) == {"1": (low, high)}
    assert input_moments(network, layers, words, {"0": 1, "1": 1}).keys() == {"1"}


@pytest.mark.parametrize(
    ("rule", "least", "most"), [("extremes", 0.01, 300.0), ("percentile", 0.03, 1.99)]
)
def test_one_outlier_decides_no_percentile(rule: str, least: float, most: float) -> None:
    """100 inputs whose largest number is 0.01 x 1 ... 0.01 x 200, and one of 300."""
    inputs = torch.linspace(0.01, 2, 200)[:, None].repeat(1, 3)
    inputs[17, 1] = 300
    layer = nn.Linear(3, 1)
    low, high = input_ranges(layer, compressible_layers(layer), inputs, rule)["weight"]
    assert (float(low), float(high)) == (pytest.approx(least), pytest.approx(most))


def test_the_range_of_the_least_error_has_none_that_is_less() -> None:
    """100,000 numbers in [0, 1], and one of 1.5."""
    values = torch.linspace(0, 1, 100_000)
    values[17] = 1.5
    layer = nn.Linear(4, 1)
    layers = compressible_layers(layer)
    found = {
        rule: input_ranges(layer, layers, values.view(-1, 4), rule)["weight"]
        for rule in ("extremes", "least_error")
    }

    def error(low: torch.Tensor, high: torch.Tensor) -> float:
        scale, zero = asymmetric_range(low, high)
        return float((fake_quantize(values, scale, zero, 0, 255) - values).square().mean())

    assert error(*found["least_error"]) < 0.9 * error(*found["extremes"])


def test_of_few_inputs_none_is_left_out() -> None:
    layer = nn.Linear(1, 1)
    inputs = torch.arange(19.0)[:, None]
    low, high = input_ranges(layer, compressible_layers(layer), inputs)["weight"]
    assert (float(low), float(high)) == (0, 18)
