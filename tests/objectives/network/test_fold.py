"""Which batch norms are folded, and that folding changes no answer."""

import onnx
import pytest
import torch
from torch import Tensor, nn
from toys import FewDigits, toy_context

from benchmarks.conformance.registry import all_networks, randomize_
from models.registry import ModelSpec
from objectives.artifact.export import export_onnx
from objectives.context import Context
from objectives.network.state import NetworkState, copy_weights


def a_network(name: str, digits: FewDigits) -> tuple[Context, NetworkState]:
    build = all_networks()[name]
    context = toy_context(digits, model=ModelSpec(build=lambda *_: build(), data="own"))
    network = context.network_of(context.untrained())
    randomize_(network)
    return context, NetworkState(weights=copy_weights(network))


@pytest.mark.parametrize(
    ("name", "folded", "left"),
    [
        ("residual block", {"stem", "first", "depthwise"}, 0),
        ("subclasses", {"first", "second"}, 0),
        ("functional norm", {"conv"}, 1),  # the other layer's weight is read, not called
        ("lazy layers", {"conv"}, 0),
        ("squeeze and excite", {"stem", "project"}, 0),
    ],
)
def test_norms_behind_a_layer_are_folded_however_they_are_written(
    name: str, folded: set[str], left: int, digits: FewDigits
) -> None:
    context, state = a_network(name, digits)
    after = context.fold(state)
    assert {norm.layer for norm in context.norms(after.weights)} == folded
    pixels = digits.training_inputs(20)
    with torch.no_grad():
        expected = context.network_of(state)(pixels)
        network = context.network_of(after)
        assert torch.allclose(network(pixels), expected, atol=1e-5)
        network.train()
        assert name == "functional norm" or torch.allclose(network(pixels), expected, atol=1e-5)
    operators = [n.op_type for n in onnx.load_from_string(export_onnx(state, context)).graph.node]
    assert operators.count("BatchNormalization") == left


class Between(nn.Module):
    """Norms before a layer, behind an activation, and behind one that two read."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.dense = nn.BatchNorm1d(784), nn.Linear(784, 12)
        self.after, self.other = nn.BatchNorm1d(12), nn.BatchNorm1d(12)
        self.head = nn.Linear(12, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        dense = self.dense(self.before(pixels.flatten(1)))
        return self.head(self.after(dense.relu()) + self.other(dense))


def test_other_norms_stay(digits: FewDigits) -> None:
    context = toy_context(digits, model=ModelSpec(build=lambda *_: Between(), data="own"))
    state = context.untrained()
    assert not context.fold(state).folded
    graph = onnx.load_from_string(export_onnx(state, context)).graph
    assert [node.op_type for node in graph.node].count("BatchNormalization") == 3
