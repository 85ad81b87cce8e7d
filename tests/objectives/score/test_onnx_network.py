"""Files that this project did not make."""

import gzip
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from toys import FewDigits

from models.pixels import to_pixels
from objectives.artifact.measure import measure_any
from objectives.errors import MeasurementError
from objectives.score.onnx_network import OnnxNetwork

PIXELS = (1, 28, 28)


def foreign(
    batch: int | str = "batch",
    sides: tuple[int, ...] = PIXELS,
    kind: int = TensorProto.FLOAT,
    classes: int = 10,
) -> ModelProto:
    """One dense layer and a softmax, under names of its own."""
    weight = np.random.default_rng(0).normal(size=(784, classes)).astype(np.float32)
    cast = helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT)
    flatten = helper.make_node("Flatten", ["float"], ["flat"])
    product = helper.make_node("MatMul", ["flat", "w"], ["scores"])
    softmax = helper.make_node("Softmax", ["scores"], ["probabilities"])
    graph = helper.make_graph(
        [cast, flatten, product, softmax],
        "foreign",
        [helper.make_tensor_value_info("image", kind, [batch, *sides])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w")],
    )
    imports = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, ir_version=8, opset_imports=imports)


def saved(folder: Path, model: ModelProto) -> Path:
    onnx.save(model, folder / "foreign.onnx")
    return folder / "foreign.onnx"


def accuracy_by_hand(digits: FewDigits) -> float:
    weight = np.random.default_rng(0).normal(size=(784, 10))
    scores = to_pixels(digits.test.images).flatten(1).double().numpy() @ weight
    return 100 * float((scores.argmax(1) == digits.test.labels.numpy()).mean())


@pytest.mark.parametrize("batch", ["batch", 1])
def test_other_names_and_a_batch_of_one_are_measured(
    batch: int | str, digits: FewDigits, tmp_path: Path
) -> None:
    path = saved(tmp_path, foreign(batch))
    measured = measure_any(path, digits)
    assert measured.test_score == pytest.approx(accuracy_by_hand(digits))
    assert measured.artifact_raw_bytes == path.stat().st_size
    assert measured.latency_ms > 0


def test_weights_beside_the_file_count(digits: FewDigits, tmp_path: Path) -> None:
    path, beside = tmp_path / "foreign.onnx", tmp_path / "foreign.onnx.data"
    onnx.save(foreign(), path, save_as_external_data=True, location=beside.name)
    content = path.read_bytes() + beside.read_bytes()
    measured = measure_any(path, digits)
    assert measured.artifact_raw_bytes == len(content) > 4 * 7840
    assert measured.artifact_bytes == len(gzip.compress(content, 6, mtime=0))
    assert measured.test_score == pytest.approx(accuracy_by_hand(digits))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"sides": (784,)}, r"it takes inputs of shape \(N, 784\), .* have shape \(1, 28, 28\)"),
        ({"sides": (28, 28, 1)}, r"\(N, 28, 28, 1\), .*; `--input-size` resizes images\."),
        ({"batch": 4}, "its batch size must be free or 1, but is 4"),
        ({"kind": TensorProto.UINT8}, "ONNX Runtime cannot run it: .*expected.*uint8"),
        ({"classes": 11}, r"inputs must have shape \(\d+, 10\) \(multiclass\), but has \(\d+, 11"),
    ],
)
def test_what_does_not_fit_the_data_is_one_line(
    changes: dict, line: str, digits: FewDigits, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(MeasurementError, match=line) as raised:
        measure_any(saved(tmp_path, foreign(**changes)), digits)
    assert "\n" not in str(raised.value)
    assert capfd.readouterr().err == ""


def test_a_second_input_is_no_classifier(digits: FewDigits, tmp_path: Path) -> None:
    model = foreign()
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))
    with pytest.raises(MeasurementError, match=r"it takes .*, more, but the data yield one input"):
        OnnxNetwork(saved(tmp_path, model), digits, threads=1)
