import pytest
import torch

from models.errors import BadInputError
from models.layers import compressible_layers
from models.registry import DATA, MODELS, Registry


def test_known_names() -> None:
    assert "cnn" in MODELS.names()
    assert {"mnist", "mnist5k"} <= set(DATA.names())


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(BadInputError, match=r"Unknown model 'cn'\. Known: .*cnn"):
        MODELS.get("cn")


def test_a_name_cannot_be_taken_twice() -> None:
    registry: Registry[int] = Registry("number", "models.networks")
    registry.add("one", 1)
    with pytest.raises(ValueError, match="A number named 'one' is registered already"):
        registry.add("one", 1)


def test_the_papers_cnn_has_20410_parameters() -> None:
    network = MODELS.get("cnn").build((1, 28, 28), 10)
    assert sum(parameter.numel() for parameter in network.parameters()) == 20_410
    assert list(compressible_layers(network)) == ["conv", "dense"]


def test_pooling_before_relu_equals_relu_before_pooling() -> None:
    network = MODELS.get("cnn").build((1, 28, 28), 10)
    pixels = torch.rand(4, 1, 28, 28)
    as_published = network.dense(network.flatten(network.pool(network.relu(network.conv(pixels)))))
    assert torch.equal(network(pixels), as_published)
