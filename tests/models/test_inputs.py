"""What a network is given and returns: one tensor, or several by place or by name."""

from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from models.errors import BadInputError
from models.inputs import (
    Inputs,
    answer_of,
    ask,
    by_name,
    free_axes,
    joined,
    left_out,
    outputs_of,
    returned,
    shapes_of,
    with_outputs,
)


class Weighted(nn.Module):
    def forward(self, values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return values * weight if bias is None else values * weight + bias


class Anything(nn.Module):
    def forward(self, **named: Tensor) -> Tensor:
        return named["values"] * named["weight"]


class Row(nn.Module):
    def forward(self, *values: Tensor) -> Tensor:
        return torch.stack(values).sum(0)


class Further(nn.Module):
    def forward(self, values: Tensor, *rest: Tensor, weight: Tensor, **more: Tensor) -> Tensor:
        return values * weight


class Steps(LightningModule):
    def forward(self, values: Tensor) -> Tensor:
        return 2 * values


ONE, TWO, THREE = (torch.full((3, 2), float(number)) for number in (1, 2, 3))
PLACED = Inputs((TWO, THREE))
NAMED = Inputs((THREE, TWO, ONE), ("weight", "values", "index"))


@pytest.mark.parametrize(
    ("network", "given", "answer"),
    [
        (Weighted(), PLACED, 6),
        (Weighted(), NAMED, 6),
        (Anything(), NAMED, 6),
        (Row(), PLACED, 5),
        (Row(), ONE, 1),
        (Further(), NAMED, 6),
    ],
)
def test_inputs_reach_their_arguments(
    network: nn.Module, given: Tensor | Inputs, answer: float
) -> None:
    assert torch.equal(ask(network, given), torch.full((3, 2), float(answer)))


def test_names_are_those_of_the_arguments() -> None:
    assert list(by_name(Weighted(), ONE)) == ["input"]
    assert list(by_name(Weighted(), PLACED)) == ["values", "weight"]
    assert list(by_name(Weighted(), NAMED)) == ["weight", "values"]
    assert list(by_name(Row(), PLACED)) == ["input_0", "input_1"]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            Inputs((ONE,), ("weight",)),
            "takes values, weight, bias, but .* yield weight:",
        ),
        (Inputs((ONE,), ("x",)), "takes values, weight, bias, but the data yield x: let both"),
        (Inputs((ONE,) * 4), "takes values, weight, bias, but the data yield 4 inputs"),
    ],
)
def test_other_arguments_are_one_line(given: Inputs, line: str) -> None:
    with pytest.raises(BadInputError, match=line):
        returned(Weighted(), given)


def test_steps_of_a_lightning_module_keep_what_is_not_for_its_forward() -> None:
    assert torch.equal(ask(Steps(), PLACED), 2 * TWO)


Pair = namedtuple("Pair", ["hidden", "logits"])


@dataclass
class Output:
    loss: Tensor | None
    first: Tensor
    cache: object = None


RETURNED = {
    "tensor": (ONE, ["logits"]),
    "tuple": ((ONE, (TWO, TWO), THREE), ["logits", "output_2"]),
    "dictionary": ({"out": ONE, "aux": TWO}, ["out", "aux"]),
    "named tuple": (Pair(TWO, ONE), ["logits", "hidden"]),
    "dataclass": (Output(None, ONE, {}), ["first"]),
}


@pytest.mark.parametrize("kind", RETURNED)
def test_outputs_have_names_the_answer_first(kind: str) -> None:
    value, names = RETURNED[kind]
    assert list(outputs_of(value)) == names
    assert torch.equal(answer_of(value), ONE)
    again = with_outputs(value, {name: 10 * each for name, each in outputs_of(value).items()})
    assert type(again) is type(value)
    assert torch.equal(answer_of(again), 10 * ONE)


def test_a_row_whose_first_part_is_a_row_has_no_answer() -> None:
    with pytest.raises(BadInputError, match="first output must be a tensor, its answer, but is a"):
        outputs_of(([ONE], TWO))


def test_what_forward_is_not_given_has_names() -> None:
    assert left_out(Weighted(), NAMED) == ["index"]
    assert left_out(Weighted(), PLACED) == left_out(Row(), ONE) == []


def test_what_returns_no_tensor_is_one_line() -> None:
    with pytest.raises(BadInputError, match="must return tensors, but returned Output"):
        outputs_of(Output(None, None))


def test_several_tensors_are_one_batch() -> None:
    assert len(NAMED) == 3
    assert shapes_of(NAMED) == ((2,), (2,), (2,))
    assert [len(part) for part in NAMED.split(2)] == [2, 1]
    again = joined(NAMED.split(2))
    assert isinstance(again, Inputs)
    assert again.names == NAMED.names
    assert all(torch.equal(a, b) for a, b in zip(again.tensors, NAMED.tensors, strict=True))
    copied = NAMED.clone()
    copied.tensors[0].zero_()
    assert torch.equal(NAMED.tensors[0], THREE)


def test_places_of_whole_numbers_stay_free_and_so_does_what_varies() -> None:
    tokens, pixels = torch.zeros(2, 7, dtype=torch.int64), torch.zeros(2, 1, 8, 8)
    assert free_axes(tokens, ()) == [{1}]
    assert free_axes(pixels, ()) == [set()]
    assert free_axes(Inputs((pixels, tokens)), [frozenset({2, 3})]) == [{2, 3}, {1}]
