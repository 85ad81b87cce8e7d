"""Channels that nothing makes or nothing reads, made by hand."""

import copy

import pytest
import torch
from torch import Tensor, nn
from toys import FewDigits, toy_context

from models.registry import ModelSpec
from objectives.context import Context
from objectives.network.state import NetworkState, copy_weights
from objectives.stages.dead_channels import without_dead_channels


class Small(nn.Module):
    """A convolution of 6 channels, 8 neurons, and what lies between."""

    def __init__(self, between: nn.Module, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.conv, self.pool = nn.Conv2d(1, 6, 5, stride=4), nn.MaxPool2d(2)
        self.dense, self.head = nn.Linear(6 * 9, 8), nn.Linear(8, 10)
        self.between, self.norm = between, norm or nn.Identity()

    def forward(self, pixels: Tensor) -> Tensor:
        features = self.between(self.pool(self.conv(pixels))).flatten(1)
        return self.head(self.norm(self.between(self.dense(features))))


def alive(network: nn.Module, digits: FewDigits) -> tuple[Context, NetworkState]:
    """Return a network all of whose channels are read and not zero."""
    spec = ModelSpec(build=lambda *_: copy.deepcopy(network), data="own")
    return toy_context(digits, model=spec), NetworkState(weights=copy_weights(network))


def answers(state: NetworkState, context: Context) -> Tensor:
    with torch.no_grad():
        found: Tensor = context.network_of(state)(context.data.training_inputs(50))
    return found


def cleaned(state: NetworkState, context: Context) -> dict[str, tuple[int, ...]]:
    """Return the shapes of what is left, which answers as the whole does."""
    smaller = without_dead_channels(state, context, context.data.training_inputs(100))
    torch.testing.assert_close(answers(smaller, context), answers(state, context))
    return {
        name.removesuffix(".weight"): tuple(weight.shape)
        for name, weight in smaller.weights.items()
        if weight.dim() > 1
    }


WHOLE = {"conv": (6, 1, 5, 5), "dense": (8, 54), "head": (10, 8)}


def test_nothing_goes_where_all_are_alive(digits: FewDigits) -> None:
    context, state = alive(Small(nn.ReLU()), digits)
    assert cleaned(state, context) == WHOLE


def test_channels_that_no_weight_makes_go_unless_their_bias_shows(digits: FewDigits) -> None:
    context, state = alive(Small(nn.ReLU()), digits)
    for name, places in (("conv", [0, 2]), ("dense", [1, 5, 6])):
        state.weights[f"{name}.weight"][places] = 0
        state.weights[f"{name}.bias"][places] = -0.3
    state.weights["conv.bias"][2] = 0.2
    assert cleaned(state, context) == {"conv": (5, 1, 5, 5), "dense": (5, 45), "head": (10, 5)}


def test_channels_that_no_weight_reads_go(digits: FewDigits) -> None:
    context, state = alive(Small(nn.ReLU()), digits)
    state.weights["dense.weight"].view(8, 6, 9)[:, 3] = 0
    state.weights["head.weight"][:, [0, 7]] = 0
    assert cleaned(state, context) == {"conv": (5, 1, 5, 5), "dense": (6, 45), "head": (10, 6)}


@pytest.mark.parametrize(
    ("between", "bias", "left"),
    [(nn.Identity(), -0.3, 8), (nn.Identity(), 0.0, 7), (nn.Sigmoid(), 0.0, 8)],
)
def test_without_a_relu_only_what_is_zero_goes(
    between: nn.Module, bias: float, left: int, digits: FewDigits
) -> None:
    context, state = alive(Small(between), digits)
    state.weights["dense.weight"][4] = 0
    state.weights["dense.bias"][4] = bias
    assert cleaned(state, context)["dense"] == (left, 54)


def test_a_norm_across_channels_keeps_them(digits: FewDigits) -> None:
    context, state = alive(Small(nn.ReLU(), nn.LayerNorm(8)), digits)
    state.weights["dense.weight"][4] = 0
    state.weights["dense.bias"][4] = 0
    assert cleaned(state, context) == WHOLE


def test_one_channel_is_left_where_all_are_dead(digits: FewDigits) -> None:
    context, state = alive(Small(nn.ReLU()), digits)
    state.weights["dense.weight"].zero_()
    state.weights["dense.bias"].fill_(-1)
    assert cleaned(state, context)["head"] == (10, 1)
