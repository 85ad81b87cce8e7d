import gzip
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from toys import FewDigits

from models.pixels import to_pixels
from objectives.artifact.export import export_onnx
from objectives.artifact.measure import measure_file
from objectives.context import Context
from objectives.errors import MeasurementError
from objectives.network.state import NetworkState


def test_numbers_are_those_of_the_file(
    baseline: NetworkState, context: Context, digits: FewDigits, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(export_onnx(baseline, context))
    measured = measure_file(path, digits)
    network = context.network_of(baseline)
    with torch.no_grad():
        right = network(to_pixels(digits.test.images)).argmax(1) == digits.test.labels
    assert measured.test_score == pytest.approx(100 * right.float().mean().item())
    assert measured.artifact_raw_bytes == path.stat().st_size
    assert measured.artifact_bytes == len(gzip.compress(path.read_bytes(), 6, mtime=0))
    assert 0 < measured.latency_ms < 100


def test_a_file_that_is_no_model_is_an_error_with_its_name(
    tmp_path: Path, digits: FewDigits
) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(MeasurementError, match=r"broken\.onnx: ONNX Runtime cannot open it"):
        measure_file(tmp_path / "broken.onnx", digits)


def test_logits_that_are_not_finite_are_no_accuracy(
    baseline: NetworkState, context: Context, digits: FewDigits, tmp_path: Path
) -> None:
    model = onnx.load_from_string(export_onnx(baseline, context))
    (bias,) = (each for each in model.graph.initializer if each.name == "dense.bias")
    bias.CopyFrom(numpy_helper.from_array(np.full(10, np.nan, np.float32), bias.name))
    (tmp_path / "nan.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(MeasurementError, match="answers are not all finite"):
        measure_file(tmp_path / "nan.onnx", digits)
