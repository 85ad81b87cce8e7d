"""Calls have names that say where they are, and others' tensors can go on in their place."""

from collections.abc import Collection
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as torch's own examples

from objectives.network.calls import INPUT, CallWatch


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense, self.act = nn.Linear(3, 3), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(x + self.act(self.dense(x)))


class Twice(nn.Module):
    """One block, called twice; while it trains it computes more."""

    def __init__(self) -> None:
        super().__init__()
        self.block, self.noise = Block(), Noise()

    def forward(self, x: Tensor) -> Tensor:
        return self.block(self.noise(self.block(x))) * 2


class Noise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 0 * torch.ones_like(x) if self.training else x


def watched(network: nn.Module) -> tuple[list[str], CallWatch]:
    """The calls that are seen from now on, and what sees them."""
    seen: list[str] = []

    def visit(call: str, given: Tensor, _: object) -> Tensor:
        seen.append(call)
        return given

    return seen, CallWatch(network, visit)


def calls_of(network: nn.Module, inputs: Tensor) -> list[str]:
    seen, watch = watched(network)
    network(inputs)
    watch.remove()
    network(inputs)  # nobody looks any more
    return seen


INSIDE = [
    "block.dense>linear:0",
    "block.act>relu:0",
    "block>add:0",
    "block.act:1/block.act>relu:0",
]
AGAIN = [
    "block:1/block.dense>linear:0",
    "block:1/block.act>relu:0",
    "block:1/block>add:0",
    "block:1/block.act:1/block.act>relu:0",
]


def test_calls_are_named_by_module_function_and_how_often() -> None:
    assert calls_of(Twice().eval(), torch.ones(2, 3)) == [INPUT, *INSIDE, *AGAIN, ">mul:0"]


def test_what_is_computed_while_training_changes_no_other_name() -> None:
    seen = calls_of(Twice().train(), torch.ones(2, 3))
    added = [call for call in seen if call.startswith("noise>")]
    assert added
    assert [call for call in seen if call not in added] == [INPUT, *INSIDE, *AGAIN, ">mul:0"]


def test_a_part_that_is_called_alone_has_the_same_names() -> None:
    network = Twice().eval()
    seen, _ = watched(network)
    network.block(torch.ones(2, 3))
    assert seen == INSIDE  # and its input is not the network's


def test_a_network_whose_forward_is_called_directly_has_the_same_names() -> None:
    network = Twice().eval()
    seen, watch = watched(network)
    network.forward(torch.ones(2, 3))
    assert seen == [INPUT, *INSIDE, *AGAIN, ">mul:0"]
    watch.remove()
    network.forward(torch.ones(2, 3))
    assert seen == [INPUT, *INSIDE, *AGAIN, ">mul:0"]


def test_what_a_network_counts_on_its_class_is_counted() -> None:
    class Counted(nn.Linear):
        calls = 0

        def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
            type(self).calls += 1
            return super().forward(input)

    network = Counted(1, 1)
    _, watch = watched(network)
    network(torch.ones(1))
    assert type(network) is Counted
    watch.remove()
    network(torch.ones(1))
    assert Counted.calls == 2


def test_a_forward_of_the_network_s_own_is_seen_and_comes_back() -> None:
    network = nn.Sequential(nn.Identity())
    own = network.forward = lambda x: torch.relu(x)  # type: ignore[method-assign]
    seen, watch = watched(network)
    network(torch.ones(1))
    assert seen == [INPUT, ">relu:0"]
    watch.remove()
    assert network.forward is own


def test_a_copy_computes_with_its_own_weights() -> None:
    """As callbacks make one, that average weights while a network is trained."""
    network = nn.Sequential(nn.Linear(1, 1, bias=False))
    doubling(network, ["0>linear:0"])
    copied = deepcopy(network)
    copied[0].weight.data.fill_(3.0)
    network[0].weight.data.fill_(1.0)
    assert copied(torch.ones(1)).tolist() == [6.0]
    assert network(torch.ones(1)).tolist() == [2.0]


def doubling(network: nn.Module, wanted: Collection[str]) -> None:
    CallWatch(network, lambda _, given, __: 2 * given, wanted)


def test_another_tensor_goes_on() -> None:
    network = nn.Sequential(nn.ReLU(), nn.Identity())
    doubling(network, ["0>relu:0"])
    assert network(torch.tensor([[-1.0, 3.0]])).tolist() == [[0.0, 6.0]]


def test_what_the_network_is_called_with_can_be_another() -> None:
    network = nn.Sequential(nn.Identity())
    doubling(network, [INPUT])
    assert network(torch.ones(1)).tolist() == [2.0]
    assert network(input=torch.ones(1)).tolist() == [2.0]


class Written(nn.Module):
    """Writes into what it has, in one of several ways, and reads that again."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way

    def forward(self, x: Tensor) -> Tensor:
        y = x * 1
        if self.way == "method":
            y.add_(1)
        elif self.way == "operator":
            y += 1
        elif self.way == "function":
            F.relu(y, inplace=True)
        return y


@pytest.mark.parametrize(
    ("way", "call", "answer"),
    [("method", ">add_:0", 8.0), ("operator", ">add_:0", 8.0), ("function", ">relu:0", 6.0)],
)
def test_what_was_written_in_place_is_replaced_for_all_who_read_it(
    way: str, call: str, answer: float
) -> None:
    network = Written(way)
    doubling(network, [call])
    x = torch.tensor([3.0], requires_grad=True)
    y = network(x)
    assert y.tolist() == [answer]
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2.0]


def test_of_several_tensors_each_can_be_another() -> None:
    class Split(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            first, second = x.chunk(2, 1)
            return first + second

    network = Split()
    doubling(network, [">chunk:0[1]"])
    assert network(torch.tensor([[1.0, 10.0]])).tolist() == [[21.0]]


def test_a_network_that_fails_can_be_called_again() -> None:
    network = nn.Sequential(nn.Linear(3, 1))
    doubling(network, ["0>linear:0"])
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        network(torch.ones(1, 4))
    plain = nn.functional.linear(torch.ones(1, 3), network[0].weight, network[0].bias)
    assert torch.equal(network(torch.ones(1, 3)), 2 * plain)
