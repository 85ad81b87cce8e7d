"""Each network of the suite through each stage: its file answers as it does, or it is refused."""

from dataclasses import replace

import onnx
import pytest
import torch

from benchmarks.conformance.cells import STAGES, Subject, conformance_data
from benchmarks.conformance.registry import all_networks, randomize_
from models.data_source import DataSource
from objectives.artifact.agreement import distance
from objectives.artifact.export import export_onnx
from objectives.artifact.restore import restore_weights
from objectives.network.state import NetworkState, copy_weights

OURS = [name for name in all_networks() if not name.startswith(("timm", "torchvision"))]
THEIRS = ["timm mobilenetv3_small_050", "timm repvgg_a0", "torchvision shufflenet_v2_x0_5"]
"""Those that an earlier exporter got wrong, each in its way; the command tries all."""

RIGHT = 1e-4
"""Standard deviations; the order of sums makes 1e-6 of it."""


@pytest.fixture(scope="module")
def data() -> DataSource:
    return conformance_data()


@pytest.fixture(scope="module")
def subject(request: pytest.FixtureRequest, data: DataSource) -> Subject:
    return Subject(all_networks()[request.param], data)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("subject", OURS, indirect=True)
def test_the_file_answers_as_the_network(subject: Subject, stage: str) -> None:
    cell = subject.through(stage)
    assert cell.reason if cell.off is None else cell.off < RIGHT


@pytest.mark.parametrize("bits", [32, 8])
@pytest.mark.parametrize("subject", OURS, indirect=True)
def test_the_weights_in_the_file_are_the_networks(subject: Subject, bits: int) -> None:
    """As PyTorch takes them, those of recurrent layers, norms and tied ones, too."""
    context = subject.context
    network = context.network_of(context.untrained())
    randomize_(network)
    state = NetworkState(weights=copy_weights(network))
    if bits < 32:
        state = replace(STAGES["8 bits"], layers={}).apply(state, context)
    restored = restore_weights(onnx.load_from_string(export_onnx(state, context)), context)
    again = context.network_of(context.untrained())
    again.load_state_dict(restored)
    inputs = context.data.training_inputs(20)
    with torch.no_grad():
        expected, given = context.network_of(state)(inputs.clone()), again(inputs.clone())
    assert distance(given.numpy(), expected.numpy()) < RIGHT


@pytest.mark.parametrize("stage", ["none", "8 bits"])
@pytest.mark.parametrize("subject", THEIRS, indirect=True)
def test_the_file_of_anothers_network_answers_as_it(subject: Subject, stage: str) -> None:
    cell = subject.through(stage)
    assert cell.off is not None
    assert cell.off < RIGHT


def test_there_are_enough_networks() -> None:
    assert len(all_networks()) >= 25
