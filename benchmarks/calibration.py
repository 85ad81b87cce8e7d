"""How ranges between layers are best read off images: `python -m benchmarks.calibration`.

Accuracy on validation at 8 bits without fine-tuning, everything on integers, by each rule of
`objectives.training.value_ranges`; of clean images, and with one pixel of one of 256 at 255
instead of at most 1.
"""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate
from torch import Tensor, nn

from benchmarks.conformance.registry import all_networks
from models.data.mnist5k import MNIST5k
from models.data_source import DataOptions, DataSource
from models.registry import MODELS, ModelSpec
from objectives.artifact.export import export_onnx
from objectives.artifact.measure import measure_any
from objectives.context import Context
from objectives.network.state import NetworkState
from objectives.score.accuracy import ACCURACY
from objectives.stages.quantize import Quantization
from objectives.stages.train import BaselineTraining
from objectives.training.value_ranges import RANGE_RULES

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "CNN": MODELS.get("cnn").build,
    "LeNet-5": MODELS.get("lenet5").build,
    "LeNet-300-100": MODELS.get("lenet300").build,
    "residual": lambda *_: all_networks()["residual block"](),
    "attention": lambda *_: all_networks()["unpacked attention"](),
    "squeeze and excite": lambda *_: all_networks()["squeeze and excite"](),
}
COMMON: dict[str, Any] = {"batch_size": 64, "lr": 2e-3}
CALIBRATION_IMAGES = 256


class WithOutlier(MNIST5k):
    """Digits of which one, where they calibrate, has a pixel that is far too bright."""

    outlier = 0.0

    def training_inputs(self, count: int) -> Tensor:
        """Return training images, with the outlier where there are as many as calibrate."""
        inputs = super().training_inputs(count)
        if count == CALIBRATION_IMAGES and self.outlier:
            inputs[7, 0, 3, 3] = self.outlier
        return inputs


def accuracy_pct(state: NetworkState, context: Context, data: DataSource) -> float:
    """Return the accuracy of the state's file on validation, percent."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "file.onnx"
        file.write_bytes(export_onnx(state, context))
        return measure_any(file, data, ACCURACY).val_score


def main() -> int:
    """Print the table."""
    torch.set_num_threads(1)
    data = WithOutlier(DataOptions(input_size=32))
    data.setup()
    rows: dict[str, list[str]] = {"float32": []}
    for build in NETWORKS.values():
        data.outlier = 0.0
        context = Context(model=ModelSpec(build=build, data="mnist5k"), data=data, seed=0)
        trained = BaselineTraining(epochs=10, **COMMON).apply(NetworkState(weights={}), context)
        rows["float32"].append(f"{accuracy_pct(trained, context, data):.1f}")
        quantize = Quantization(
            bits=8,
            qat_epochs=0,
            calibration_images=CALIBRATION_IMAGES,
            integers="everywhere",
            **COMMON,
        )
        for outlier in (0.0, 255.0):
            data.outlier = outlier
            for rule in RANGE_RULES:
                state = replace(quantize, input_range=rule).apply(trained, context)
                name = rule.replace("_", " ") + (", outlier" if outlier else "")
                rows.setdefault(name, []).append(f"{accuracy_pct(state, context, data):.1f}")
    cells = [[name, *values] for name, values in rows.items()]
    print(tabulate(cells, ["", *NETWORKS], "pipe", disable_numparse=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
