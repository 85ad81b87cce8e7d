import gc
from dataclasses import replace

import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from toys import FewDigits, toy_context

from objectives.artifact.export import export_onnx
from objectives.context import Context
from objectives.network import exporter
from objectives.network.state import NetworkState, copy_weights


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """The networks that torch has exported, none before."""
    exported: list[nn.Module] = []
    by_torch = exporter.torch_graph

    def counted(network: nn.Module, *rest: object) -> object:
        exported.append(network)
        return by_torch(network, *rest)

    monkeypatch.setattr(exporter, "torch_graph", counted)
    monkeypatch.setattr(exporter, "_KEPT", {})
    return exported


def with_other_weights(state: NetworkState, seed: int) -> NetworkState:
    generator = torch.Generator().manual_seed(seed)
    weights = {
        name: torch.randn(weight.shape, generator=generator)
        for name, weight in state.weights.items()
    }
    return replace(state, weights=weights)


def logits_of(content: bytes, images: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(["logits"], {"input": images.numpy()})[0])


def test_networks_that_differ_in_weights_are_exported_once_and_answer_each_as_itself(
    baseline: NetworkState, context: Context, digits: FewDigits, exports: list[nn.Module]
) -> None:
    images = digits.training_inputs(20)
    for seed in range(3):
        state = with_other_weights(baseline, seed)
        with torch.no_grad():
            expected = context.network_of(state)(images)
        logits = logits_of(export_onnx(state, context), images)
        assert torch.allclose(logits, expected, rtol=1e-4, atol=1e-3)
    assert len(exports) == 1


def test_a_network_of_another_make_is_exported_anew(
    context: Context, digits: FewDigits, exports: list[nn.Module]
) -> None:
    for hidden in (4, 5, 5):

        def build(_: tuple[int, ...], classes: int, hidden: int = hidden) -> nn.Module:
            return nn.Sequential(nn.Flatten(), nn.Linear(784, hidden), nn.Linear(hidden, classes))

        other = toy_context(digits, model=replace(context.model, build=build))
        export_onnx(NetworkState(weights=copy_weights(other.build_network())), other)
    assert len(exports) == 3  # the last two are functions of their own, whatever they make


class ScalesItsBias(nn.Module):
    """Computes with twice its bias, which the exporter works out beforehand."""

    def __init__(self, shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.dense = nn.Linear(784, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return functional.linear(images.flatten(1), self.dense.weight, self.dense.bias * 2)


def test_a_bias_that_the_exporter_has_computed_with_is_the_networks_own(
    context: Context, digits: FewDigits
) -> None:
    own = toy_context(digits, model=replace(context.model, build=ScalesItsBias))
    state = NetworkState(weights=copy_weights(own.build_network()))
    images = digits.training_inputs(20)
    for seed in range(2):
        other = with_other_weights(state, seed)
        with torch.no_grad():
            expected = own.network_of(other)(images)
        assert torch.allclose(logits_of(export_onnx(other, own), images), expected, atol=1e-3)


class Wide(nn.Module):
    """Has a weight that nothing else in these tests is as large as."""

    def __init__(self, _: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.dense = nn.Linear(784, 4000)
        self.head = nn.Linear(4000, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.dense(images.flatten(1)))
        return logits


def test_no_weight_stays_in_memory_when_the_file_is_there(
    context: Context, digits: FewDigits
) -> None:
    wide = toy_context(digits, model=replace(context.model, build=Wide))
    export_onnx(NetworkState(weights=copy_weights(wide.build_network())), wide)
    gc.collect()
    alive = [each for each in gc.get_objects() if type(each) is nn.Parameter]
    assert not [each for each in alive if each.untyped_storage().nbytes() >= 784 * 4000 * 4]
