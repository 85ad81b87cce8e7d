"""What files compute on integers is what the network computes that was trained for them."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import ValueInfoProto
from torch import Tensor

from benchmarks.integers import NETWORKS, prepared
from models.inputs import ANSWER, INPUT_NAME
from objectives.artifact.export import export_onnx
from objectives.context import Context
from objectives.network.state import NetworkState
from objectives.stages.quantize import Quantization
from objectives.training.activations import attach_rounding_, rounded

INPUTS = 20


@pytest.mark.parametrize("name", NETWORKS)
def test_each_integer_is_within_one_step_of_the_networks(name: str, tmp_path: Path) -> None:
    """Also fused, where ONNX Runtime rounds otherwise; then the network goes on with it."""
    context, state = prepared(name)
    stage = Quantization(
        bits=8, qat_epochs=0, batch_size=64, lr=1e-3, calibration_images=64, integers="everywhere"
    )
    state = stage.apply(state, context)
    model = onnx.load_from_string(export_onnx(state, context))
    answers = [ANSWER, *(f"{name}@q" for name in state.activations)]
    model.graph.output.extend(ValueInfoProto(name=name) for name in answers[1:])
    file = tmp_path / "shown.onnx"
    onnx.save(model, file)
    inputs = context.data.training_inputs(INPUTS)
    for is_fused in (False, True):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        if not is_fused:
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        logits, *integers = session.run(answers, {INPUT_NAME: inputs.numpy()})
        in_file = dict(zip(state.activations, integers, strict=True))
        expected, furthest = network_beside(in_file, state, context, inputs)
        assert furthest.keys() == state.activations.keys()
        assert max(furthest.values()) < 1.01
        step = (expected.max() - expected.min()) / 255
        assert np.abs(logits - expected).max() < step


def network_beside(
    in_file: dict[str, np.ndarray], state: NetworkState, context: Context, inputs: Tensor
) -> tuple[np.ndarray, dict[str, float]]:
    """Its answers, going on with the file's integers, and how many steps from these it was."""
    furthest = {}

    def compare(name: str, given: Tensor) -> Tensor:
        stored = state.activations[name]
        integers = torch.from_numpy(in_file[name]).view(given.shape)
        theirs = (integers.float() - stored.zero_point) * stored.scale
        furthest[name] = float((rounded(given, stored) - theirs).abs().max() / stored.scale)
        return theirs

    network = context.network_of(state)
    attach_rounding_(network, context.values(state), state.activations, compare)
    with torch.no_grad():
        return network(inputs.clone()).numpy(), furthest
