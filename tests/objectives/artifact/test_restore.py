from dataclasses import replace

import onnx
import pytest
import torch
from torch import nn
from toys import FewDigits, toy_context, toy_plan

from models.registry import ModelSpec
from objectives.artifact.export import export_onnx
from objectives.artifact.restore import restore_weights
from objectives.context import Context
from objectives.errors import MeasurementError
from objectives.network.state import NetworkState, copy_weights
from objectives.stages.base import Stage
from objectives.stages.channels import ChannelRemoval
from objectives.stages.cluster import Clustering
from objectives.stages.factorize import Factorization


def restored(state: NetworkState, context: Context) -> dict[str, torch.Tensor]:
    return restore_weights(onnx.load_from_string(export_onnx(state, context)), context)


def batch_norms(bias: bool) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3, stride=3, bias=bias), nn.BatchNorm2d(4, affine=bias), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(324, 6), nn.BatchNorm1d(6), nn.Linear(6, 10)),
    )


@pytest.mark.parametrize("bits", [32, 16, 8, 6, 5, 4, 3, 2])
def test_weights_of_every_precision_are_those_of_the_stage(
    bits: int, baseline: NetworkState, context: Context
) -> None:
    quantize = replace(toy_plan(0, bits, qat_epochs=0).get("quantize"), symmetric=bits != 4)
    state = quantize.apply(baseline, context)
    found = restored(state, context)
    assert list(found) == list(context.build_network().state_dict())
    for name, weight in state.weights.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("bits", [2, 4])
def test_shared_weights_come_out_of_their_codebook(
    bits: int, baseline: NetworkState, context: Context
) -> None:
    pruned = toy_plan(0.9).get("prune").apply(baseline, context)
    state = Clustering(bits=bits, tuning_epochs=0, batch_size=128, lr=1e-3).apply(pruned, context)
    found = restored(state, context)
    for name, weight in state.weights.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("bias", [True, False])
def test_folded_batch_norms_become_such_as_change_nothing(bias: bool, digits: FewDigits) -> None:
    spec = ModelSpec(build=lambda *_: batch_norms(bias), data="own")
    context = toy_context(digits, model=spec)
    state = toy_plan(epochs=2).train.apply(NetworkState(weights={}), context)
    network = context.build_network().eval()
    network.load_state_dict(restored(state, context))
    pixels = digits.training_inputs(50)
    with torch.no_grad():
        assert torch.allclose(network(pixels), context.network_of(state)(pixels), atol=1e-5)
    assert bool((network[1].running_mean == 0).all()) == bias


@pytest.mark.parametrize(
    "settings",
    [
        ChannelRemoval(share=0.5, epochs=0, batch_size=128, lr=1e-3),
        Factorization(energy=0.5, epochs=0, batch_size=128, lr=1e-3),
    ],
    ids=["channels", "factorize"],
)
@pytest.mark.parametrize("bias", [True, False])
def test_weights_have_the_structure_that_the_plan_left(
    bias: bool, settings: Stage, digits: FewDigits
) -> None:
    spec = ModelSpec(build=lambda *_: batch_norms(bias), data="own")
    context = toy_context(digits, model=spec)
    state = settings.apply(NetworkState(weights=copy_weights(batch_norms(bias))), context)
    found = restored(state, context)
    assert sum(map(torch.numel, found.values())) < sum(
        map(torch.numel, batch_norms(bias).state_dict().values())
    )
    pixels = digits.training_inputs(50)
    with torch.no_grad():
        answers = context.network_of(NetworkState(weights=found))(pixels)
        assert torch.allclose(answers, context.network_of(state)(pixels), atol=1e-5)


@pytest.mark.parametrize("bias", [torch.zeros(8), torch.linspace(0, 1, 8)])
def test_a_bias_that_an_exporter_would_drop_or_share_between_layers_is_found(
    bias: torch.Tensor, digits: FewDigits
) -> None:
    def build(*_: object) -> nn.Module:
        layers = (nn.Conv2d(1, 8, 28), nn.Flatten(), nn.Linear(8, 8), nn.Linear(8, 10))
        return nn.Sequential(*layers)

    context = toy_context(digits, model=ModelSpec(build=build, data="own"))
    weights = copy_weights(context.build_network())
    weights["0.bias"] = weights["2.bias"] = bias
    state = NetworkState(weights=weights)
    file = onnx.load_from_string(export_onnx(state, context))
    assert {"0.bias", "2.bias"} < {tensor.name for tensor in file.graph.initializer}
    found = restore_weights(file, context)
    assert all(torch.equal(found[name], weight) for name, weight in weights.items())


def test_the_file_of_another_network_is_refused(
    baseline: NetworkState, context: Context, digits: FewDigits
) -> None:
    model = onnx.load_from_string(export_onnx(baseline, context))
    other = ModelSpec(build=lambda *_: batch_norms(True), data="own")
    with pytest.raises(MeasurementError, match=r"The file holds no weight '0\.weight'"):
        restore_weights(model, toy_context(digits, model=other))
