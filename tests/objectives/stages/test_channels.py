from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from toys import FewDigits, toy_context, toy_plan

from models.errors import BadInputError
from models.registry import MODELS, ModelSpec
from objectives.artifact.export import export_onnx
from objectives.artifact.measure import measure_file
from objectives.artifact.sizes import gzip_bytes
from objectives.context import Context
from objectives.network.state import NetworkState, copy_weights
from objectives.stages.channels import ChannelRemoval


def a_removal(share: float = 0.5, *, epochs: int = 1, norm: str = "l2") -> ChannelRemoval:
    return ChannelRemoval(share=share, norm=norm, epochs=epochs, batch_size=128, lr=1e-3)


@pytest.mark.parametrize(("norm", "kept"), [("l1", [0, 1]), ("l2", [1, 2])])
def test_the_least_worth_goes_by_hand(norm: str, kept: list[int], digits: FewDigits) -> None:
    """Weights that make or read the channels 0, 1, 2, with sums 9, 8, 7 and of squares 27, 32, 49.

    784 + 10 numbers each, all other are 0.
    """

    def build(*_: object) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 3), nn.ReLU(), nn.Linear(3, 10))

    context = toy_context(digits, model=ModelSpec(build=build, data="own"))
    weights = {name: 0 * w for name, w in copy_weights(context.build_network()).items()}
    weights["1.weight"][0, :2] = torch.tensor([3.0, -3.0])
    weights["3.weight"][5, 0] = -3.0
    weights["1.weight"][1, 7] = 4.0
    weights["3.weight"][2, 1] = 4.0
    weights["3.weight"][9, 2] = -7.0
    weights["1.bias"] = torch.tensor([0.1, 0.2, 0.3])
    state = a_removal(0.6, epochs=0, norm=norm).apply(NetworkState(weights=weights), context)
    assert torch.equal(state.weights["1.bias"], weights["1.bias"][kept])
    assert torch.equal(state.weights["1.weight"], weights["1.weight"][kept])
    assert torch.equal(state.weights["3.weight"], weights["3.weight"][:, kept])


def test_files_get_smaller_and_faster(digits: FewDigits, tmp_path: Path) -> None:
    context = toy_context(digits, model=MODELS.get("lenet5"))
    before = NetworkState(weights=copy_weights(context.build_network()))
    after = a_removal(0.25, epochs=0).apply(before, context)
    measured = []
    for number, state in enumerate((before, after)):
        file = tmp_path / f"{number}.onnx"
        file.write_bytes(export_onnx(state, context))
        measured.append(measure_file(file, digits))
    assert measured[1].artifact_bytes < 0.1 * measured[0].artifact_bytes
    assert measured[1].latency_ms < measured[0].latency_ms  # 0.2 of it on an idle machine


@pytest.mark.parametrize("bits", [32, 16, 8])
def test_pruned_and_quantized_afterwards_the_file_answers_as_the_network(
    bits: int, baseline: NetworkState, context: Context
) -> None:
    state = a_removal().apply(baseline, context)
    state = toy_plan(0.5).get("prune").apply(state, context)
    if bits < 32:
        state = toy_plan(0.5, bits).get("quantize").apply(state, context)
    assert {layer: tuple(mask.shape) for layer, mask in state.masks.items()} == {
        "conv": (6, 1, 3, 3),
        "dense": (10, 6 * 13 * 13),
    }
    for layer, mask in state.masks.items():
        assert bool((state.weights[f"{layer}.weight"][~mask] == 0).all())
    content = export_onnx(state, context)
    assert gzip_bytes(content) < 0.5 * gzip_bytes(export_onnx(baseline, context))
    pixels = context.data.training_inputs(64)
    with torch.no_grad():
        expected = context.network_of(state)(pixels).numpy()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"input": pixels.numpy()})
    # 8 bits: the file rounds the layers' inputs too
    assert np.abs(logits - expected).max() < (0.1 if bits == 8 else 1e-4)


def test_all_channels_is_neutral() -> None:
    assert a_removal(1.0).is_neutral
    assert not a_removal(0.99).is_neutral


@pytest.mark.parametrize(
    "settings", [{"share": 0.0}, {"share": 1.1}, {"norm": "l3"}, {"epochs": -1}]
)
def test_settings_that_break_their_law_are_refused(settings: dict) -> None:
    with pytest.raises(BadInputError, match="must hold, but got"):
        ChannelRemoval(**({"share": 0.5, "epochs": 1, "batch_size": 9, "lr": 0.1} | settings))
