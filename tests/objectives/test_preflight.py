import pytest
import torch
from torch import Tensor, nn
from toys import FewDigits, toy_context

from models.errors import BadInputError
from models.registry import ModelSpec
from objectives.context import Context
from objectives.preflight import check_network, measure_pace


def context_of(network: nn.Module, digits: FewDigits, **changes: object) -> Context:
    return toy_context(digits, model=ModelSpec(build=lambda *_: network, data="own"), **changes)


class Sorting(nn.Module):
    """Branches on what it is given: no exporter can follow."""

    def forward(self, values: Tensor) -> Tensor:
        return values if values.sum().item() > 0 else -values


def test_a_built_in_network_passes(context: Context) -> None:
    check_network(context)


def test_a_network_that_cannot_be_exported_fails_with_its_layer_named(digits: FewDigits) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 20), Sorting(), nn.Linear(20, 10))
    with pytest.raises(BadInputError, match=r"cannot be exported to ONNX: layer '2' \(Sorting\)"):
        check_network(context_of(network, digits))


@pytest.mark.parametrize(
    ("network", "line"),
    [
        (nn.Conv2d(3, 10, 3), r"cannot take inputs of shape \(2, 1, 28, 28\): .*channels"),
        (nn.Conv2d(1, 10, 3), r"logits of shape \(2, 10\), but got \(2, 10, 26, 26\)"),
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 7)), r"shape \(2, 10\), but got \(2, 7\)"),
    ],
)
def test_networks_that_do_not_fit_the_data_are_one_line(
    network: nn.Module, line: str, digits: FewDigits
) -> None:
    with pytest.raises(BadInputError, match=line) as caught:
        check_network(context_of(network, digits))
    assert "\n" not in str(caught.value)


def test_patterns_that_match_no_layer_are_answered_with_the_layers(digits: FewDigits) -> None:
    with pytest.raises(BadInputError, match=r"matches head\.\*. There are: conv, dense\."):
        check_network(toy_context(digits, layers=("head.*",)))


def test_pace_is_measured_and_leaves_no_trace(context: Context, digits: FewDigits) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    pace = measure_pace(context, batch_size=128)
    assert 0 < pace.epoch_seconds < 60
    assert 0 < pace.evaluation_seconds < 60
    assert digits.sizes()["train"] == 420
    assert isinstance(before, Tensor)
