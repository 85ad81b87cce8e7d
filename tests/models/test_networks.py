import pytest
import torch
from torch import nn

from models.errors import BadInputError
from models.layers import compressible_layers
from models.registry import MODELS
from models.resolve import resolve_model


def trainable(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def running_statistics(network: nn.Module) -> int:
    return sum(buffer.numel() for name, buffer in network.named_buffers() if "running" in name)


@pytest.mark.parametrize("size", [67, 227])
def test_the_papers_alexnet_has_58327818_numbers_at_any_input_size(size: int) -> None:
    with torch.device("meta"):
        network = MODELS.get("alexnet").build((3, size, size), 10)
    assert trainable(network) == 58_325_066
    assert running_statistics(network) == 2_752
    assert trainable(network) + running_statistics(network) == 58_327_818
    assert len(compressible_layers(network)) == 8


def test_alexnet_refuses_inputs_that_its_third_pooling_leaves_nothing_of() -> None:
    with pytest.raises(BadInputError, match="`input_size >= 67` must hold, but got input_size=66"):
        MODELS.get("alexnet").build((3, 66, 66), 10)


@pytest.mark.parametrize(("name", "count"), [("lenet300", 266_610), ("lenet5", 431_080)])
def test_lenets_have_the_parameters_of_the_literature(name: str, count: int) -> None:
    network = MODELS.get(name).build((1, 28, 28), 10)
    assert trainable(network) == count
    assert network(torch.rand(3, 1, 28, 28)).shape == (3, 10)


def test_resnet8_has_the_78666_numbers_of_mlperf_tiny() -> None:
    network = MODELS.get("resnet8").build((3, 32, 32), 10)
    assert trainable(network) == 78_186
    assert trainable(network) + running_statistics(network) == 78_666
    assert network(torch.rand(3, 3, 32, 32)).shape == (3, 10)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_torchvisions_classifiers_are_built_for_the_classes_of_the_data(name: str) -> None:
    network = resolve_model(f"torchvision:{name}").build((3, 32, 32), 7)
    assert network.eval()(torch.rand(2, 3, 32, 32)).shape == (2, 7)


def test_an_unknown_torchvision_model_is_answered_with_the_known_ones() -> None:
    with pytest.raises(BadInputError, match=r"Unknown torchvision model 'resnet19'.*resnet18"):
        resolve_model("torchvision:resnet19")


def test_layers_are_chosen_by_patterns_and_shared_ones_count_once() -> None:
    network = nn.Module()
    network.embedding = nn.Embedding(5, 4)
    network.body = nn.Sequential(nn.Conv1d(4, 4, 3), nn.BatchNorm1d(4), nn.Linear(4, 4))
    network.again = network.body[2]
    assert list(compressible_layers(network)) == ["embedding", "body.0", "body.2"]
    assert list(compressible_layers(network, ("body.*",))) == ["body.0", "body.2"]
    assert list(compressible_layers(network, ("*.0", "emb*"))) == ["embedding", "body.0"]
    assert compressible_layers(network, ("head",)) == {}
