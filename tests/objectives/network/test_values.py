"""The calls that give a graph's values are found by their numbers."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from toys import FewDigits, toy_context

from models.registry import ModelSpec
from objectives.network.values import Values


class Residual(nn.Module):
    """With what passes numbers on, and what looks like another value."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.point = nn.Conv2d(4, 4, 1)
        self.act, self.drop = nn.ReLU(inplace=True), nn.Dropout(0.2)
        self.head = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(self.act(self.norm(self.conv(x))))
        x = self.act(x + self.point(x))
        return self.head(x.mean((2, 3)))


def values_of(build: Callable[..., nn.Module], digits: FewDigits) -> tuple[Values, list[str]]:
    """Of the network with its norms folded; and the operator that gives each value, in order."""
    context = toy_context(digits, model=ModelSpec(build=build, data="own"))
    state = context.fold(context.untrained())
    nodes = context.graph(state).graph.node
    return context.values(state), [f"{node.op_type} {node.output[0]}" for node in nodes]


def test_each_value_is_where_it_is_computed_first(digits: FewDigits) -> None:
    values, operators = values_of(lambda *_: Residual(), digits)
    named = {name.split()[1]: name.split()[0] for name in operators}
    found = [(named[name], calls) for name, calls in values.calls.items() if name in named]
    assert found == [
        ("Conv", ("conv>conv2d:0",)),  # the norm is folded, and gives the same
        ("Relu", ("act>relu:0",)),  # and so does dropout, which does not count
        ("Conv", ("point>conv2d:0",)),
        ("Add", (">add:0",)),
        ("Relu", ("act:1/act>relu:0",)),
        ("Squeeze", (">mean:0",)),
        ("Gemm", ("head>linear:0",)),
    ]
    assert values.calls["input"] == ("input",)
    assert values.shapes["input"] == (2, 1, 28, 28)


class Equal(nn.Module):
    """What is computed twice is one value; what is equal by chance is the first alone."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)[:, 350:360] - 0.5
        y = x.relu() - (-x).relu()
        return y + x.tanh() * x.tanh()


def test_values_of_equal_numbers_are_told_apart_or_left_out(digits: FewDigits) -> None:
    values, _ = values_of(lambda *_: Equal(), digits)
    assert (">tanh:0", ">tanh:1") in values.calls.values()
    assert (">sub:0",) not in values.calls.values()  # y has the numbers of x


class Hidden(nn.Module):
    """What a function of torch computes inside is nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.attend, self.head = nn.MultiheadAttention(28, 2, batch_first=True), nn.Linear(28, 10)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.squeeze(1)
        return self.head(self.attend(rows, rows, rows)[0].mean(1))


def test_what_attention_computes_inside_has_no_call(digits: FewDigits) -> None:
    values, operators = values_of(lambda *_: Hidden(), digits)
    assert any("Softmax" in name for name in operators)
    softmax = next(name.split()[1] for name in operators if "Softmax" in name)
    assert softmax in values.shapes
    assert softmax not in values.calls


@pytest.mark.parametrize("spoil", [float("nan"), float("inf")])
def test_a_network_whose_answers_depend_on_its_weights_keeps_them(
    spoil: float, digits: FewDigits
) -> None:
    class Fragile(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.one = nn.Linear(784, 10), nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            answer = self.head(x.flatten(1)).relu()
            return torch.where(self.one == 1, answer, answer * spoil)

    values, _ = values_of(lambda *_: Fragile(), digits)
    assert ("head>linear:0",) in values.calls.values()
