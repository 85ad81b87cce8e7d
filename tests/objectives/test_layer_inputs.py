import pytest
import torch
from torch import nn

from models.layers import compressible_layers
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
