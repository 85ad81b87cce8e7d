"""A network that answers every input the same."""

from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from toys import FewDigits, toy_context, untrained_file

from objectives.artifact.measure import measure_any
from objectives.score.accuracy import ACCURACY
from objectives.score.alike import answers_alike
from objectives.score.named import score_named
from objectives.score.onnx_network import OnnxNetwork


def biases_alone(folder: Path, spread: float, batch: int | str = "batch") -> Path:
    """A file whose logits are 0 to 9, and differ among inputs by `spread` at most."""
    weight = torch.full((784, 10), spread / 784).numpy()
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["product"]),
        helper.make_node("Add", ["product", "b"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "biases",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 1, 28, 28])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(weight, "w"),
            numpy_helper.from_array(torch.arange(10.0).numpy(), "b"),
        ],
    )
    file = folder / "biases.onnx"
    onnx.save(
        helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), file
    )
    return file


@pytest.mark.parametrize("batch", ["batch", 1])
def test_biases_alone_are_noticed(batch: int | str, digits: FewDigits, tmp_path: Path) -> None:
    assert measure_any(biases_alone(tmp_path, 0.0, batch), digits).constant_answers


def test_the_same_class_for_all_is_noticed_where_accuracy_counts(
    digits: FewDigits, tmp_path: Path
) -> None:
    opened = OnnxNetwork(biases_alone(tmp_path, 0.5), digits, threads=1)
    assert answers_alike(opened, digits, "validation", ACCURACY)
    auroc = score_named(
        "AUROC", arguments=None, mode=None, data=digits, build=toy_context(digits).build_network
    )
    assert not answers_alike(opened, digits, "validation", auroc)


def test_an_untrained_network_answers_otherwise(digits: FewDigits, tmp_path: Path) -> None:
    opened, _ = untrained_file(toy_context(digits), tmp_path)
    assert not answers_alike(opened, digits, "validation", ACCURACY)
