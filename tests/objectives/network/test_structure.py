import pytest
import torch
from torch import nn

from objectives.network.structure import SplitLayer, fit_shapes_, split_layer, split_layers_


def a_network(channels: int, *, split: int | None = None) -> nn.Sequential:
    """Dense, plain and depthwise convolutions, a grouped one, norms, `channels` of each."""
    pointwise: nn.Module = nn.Conv2d(channels, channels, 1)
    if split is not None:
        pointwise = SplitLayer(
            nn.Conv2d(channels, split, 1, bias=False), nn.Conv2d(split, channels, 1)
        )
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1),
        nn.BatchNorm2d(channels),
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        pointwise,
        nn.Conv2d(channels, channels, 3, groups=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.LayerNorm(channels),
        nn.Linear(channels, 5),
        nn.BatchNorm1d(5, affine=False),
    ).eval()


@pytest.mark.parametrize("split", [None, 3])
def test_a_network_takes_the_structure_of_another_and_answers_as_it_does(
    split: int | None,
) -> None:
    smaller, network = a_network(4, split=split), a_network(12)
    split_layers_(network, smaller.state_dict())
    changed = fit_shapes_(network, smaller.state_dict())
    network.load_state_dict(smaller.state_dict())
    assert str(network) == str(smaller)
    assert network[9] not in changed
    pixels = torch.rand(2, 3, 6, 6)
    with torch.no_grad():
        assert torch.equal(network(pixels), smaller(pixels))


def test_its_own_structure_changes_nothing() -> None:
    network = a_network(4)
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    split_layers_(network, weights)
    assert fit_shapes_(network, weights) == []
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())


def test_a_layer_under_two_names_is_split_under_both() -> None:
    shared = nn.Linear(4, 4, bias=False)
    network = nn.Sequential(shared, nn.ReLU(), shared)
    weights = {f"{name}.{part}.weight": torch.ones(4, 4) for name in "02" for part in "01"}
    split_layers_(network, weights)
    assert network[0] is network[2]
    assert network.state_dict().keys() == weights.keys()


def test_a_split_convolution_has_its_geometry_in_the_first_and_its_bias_in_the_second() -> None:
    layer = nn.Conv2d(3, 8, (3, 5), stride=2, padding=(1, 2), dilation=2, padding_mode="reflect")
    split = split_layer(layer, rank=2)
    assert split[0].bias is None
    assert split[1].bias is not None
    pixels = torch.rand(2, 3, 16, 16)
    assert split(pixels).shape == layer(pixels).shape
