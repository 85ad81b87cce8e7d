"""Networks put together at random: their files, uncompressed and at 8 bits, answer as they do."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from toys import FewDigits, toy_context, toy_plan

from benchmarks.conformance.networks.batch_norms import NormAndRelu, SameConv
from benchmarks.conformance.networks.convolutions import StandardizedConv
from benchmarks.conformance.registry import randomize_
from models.registry import ModelSpec
from objectives.artifact.agreement import largest_difference
from objectives.artifact.export import export_onnx
from objectives.network.state import NetworkState, copy_weights

CHANNELS = 8


class Called(nn.Module):
    """Modules, and what is done with them: (modules, features) -> features of equal channels."""

    def __init__(self, does: Callable[..., Tensor], *modules: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(modules)
        self.does = does

    def forward(self, x: Tensor) -> Tensor:
        return self.does(x, *self.parts)


def conv(**changes: object) -> nn.Conv2d:
    return nn.Conv2d(CHANNELS, CHANNELS, **({"kernel_size": 3, "padding": 1} | changes))


def attended(x: Tensor, attention: nn.Module) -> Tensor:
    places = x.flatten(2).transpose(1, 2)  # (N, H W, C)
    mixed, _ = attention(places, places, places, need_weights=False)
    return (places + mixed).transpose(1, 2).reshape(x.shape)


def shuffled(x: Tensor, layer: nn.Module) -> Tensor:
    n, _, h, w = x.shape
    return layer(x.view(n, 2, 4, h, w).transpose(1, 2).reshape(n, CHANNELS, h, w))


def gated(x: Tensor, layer: nn.Module) -> Tensor:
    values, gate = layer(x).chunk(2, dim=1)
    return values * gate.sigmoid()


def tied(x: Tensor, layer: nn.Module) -> Tensor:
    rows = layer(x.permute(0, 2, 3, 1)).tanh()
    return functional.linear(rows, layer.weight.t()).permute(0, 3, 1, 2)


def excited(x: Tensor, squeeze: nn.Module, excite: nn.Module) -> Tensor:
    return x * functional.hardsigmoid(excite(squeeze(x.mean((2, 3), keepdim=True)).relu()))


BLOCKS: dict[str, Callable[[], nn.Module]] = {
    "conv": conv,
    "conv bn relu": lambda: nn.Sequential(conv(bias=False), nn.BatchNorm2d(CHANNELS), nn.ReLU()),
    "conv bn plain": lambda: nn.Sequential(conv(), nn.BatchNorm2d(CHANNELS, affine=False)),
    "bn conv": lambda: nn.Sequential(nn.BatchNorm2d(CHANNELS), conv()),
    "own layers": lambda: nn.Sequential(
        SameConv(CHANNELS, CHANNELS, 2, bias=False), NormAndRelu(CHANNELS)
    ),
    "depthwise": lambda: conv(groups=CHANNELS, padding_mode="reflect"),
    "grouped": lambda: conv(groups=2, dilation=2, padding=2),
    "circular": lambda: conv(padding_mode="circular"),
    "standardized": lambda: StandardizedConv(CHANNELS, CHANNELS, 1),
    "weight norm": lambda: parametrizations.weight_norm(conv()),
    "residual": lambda: Called(lambda x, a: (x + a(x)).relu(), conv()),
    "shared": lambda: Called(lambda x, a: a(a(x).relu()), conv()),
    "gated": lambda: Called(gated, nn.Conv2d(CHANNELS, 2 * CHANNELS, 1)),
    "excited": lambda: Called(excited, nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1)),
    "shuffled": lambda: Called(shuffled, conv(groups=2)),
    "attention": lambda: Called(attended, nn.MultiheadAttention(CHANNELS, 2, batch_first=True)),
    "dense last": lambda: Called(
        lambda x, a: a(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), nn.Linear(8, 8)
    ),
    "tied": lambda: Called(tied, nn.Linear(CHANNELS, 5, bias=False)),
    "group norm": lambda: nn.GroupNorm(2, CHANNELS),
    "instance norm": lambda: nn.InstanceNorm2d(CHANNELS, affine=True),
    "max pool": lambda: nn.MaxPool2d(3, 1, 1),
    "max pool relu": lambda: nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.ReLU()),
    "hard swish": nn.Hardswish,
    "gelu": nn.GELU,
    "prelu": lambda: nn.PReLU(CHANNELS),
    "dropout": nn.Dropout,
}


class Drawn(nn.Module):
    """A stem, the blocks one behind the other, a head."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, CHANNELS, 4, stride=4)
        self.blocks = nn.ModuleList(BLOCKS[name]() for name in names)
        self.head = nn.Linear(CHANNELS, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))


@settings(
    max_examples=14,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(names=st.lists(st.sampled_from(sorted(BLOCKS)), min_size=1, max_size=5))
def test_files_answer_as_networks_of_random_blocks(names: list[str], digits: FewDigits) -> None:
    def build(*_: object) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return Drawn(names)

    context = toy_context(digits, model=ModelSpec(build=build, data="own", own=True))
    network = context.network_of(context.untrained())
    randomize_(network)
    state = NetworkState(weights=copy_weights(network))
    rounded = toy_plan(0, 8, qat_epochs=0).get("quantize").apply(state, context)
    for each in (state, rounded):
        content = export_onnx(each, context)
        assert largest_difference(content, each, context).distance < 1e-4


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_each_block_keeps_the_channels(name: str) -> None:
    block = BLOCKS[name]().eval()
    assert block(torch.rand(2, CHANNELS, 6, 6)).shape[1] == CHANNELS
