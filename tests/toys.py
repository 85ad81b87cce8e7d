"""Small stand-ins: real digits, but few of them, and networks whose answers can be worked out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.data.mnist5k import MNIST5k
from models.image_parts import LabelledImages
from models.images import ImageData
from models.registry import MODELS
from objectives.artifact.export import export_onnx
from objectives.context import Context
from objectives.network.state import NetworkState
from objectives.plan import Plan
from objectives.progress import SilentProgress, StopRequested
from objectives.score.onnx_network import OnnxNetwork
from objectives.stages.prune import WeightPruning
from objectives.stages.quantize import Quantization
from objectives.stages.train import BaselineTraining
from search.storage.trials import NEEDED


class FewDigits(ImageData):
    """The first 600 training and 200 test images of mnist5k: an epoch takes a blink."""

    num_classes = 10

    def load(self) -> tuple[LabelledImages, LabelledImages]:
        training, test = MNIST5k().load()
        mixed = torch.randperm(len(training), generator=torch.Generator().manual_seed(0))[:600]
        return LabelledImages(*training[mixed]), LabelledImages(*test[torch.arange(0, 1000, 5)])


class StopAfter(SilentProgress):
    """Asks to stop at the n-th batch."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def advance(self, epochs: float) -> None:
        self.left -= 1
        if self.left <= 0:
            raise StopRequested


def toy_context(data: ImageData, **changes: object) -> Context:
    settings = {"model": MODELS.get("cnn"), "data": data, "seed": 0}
    return Context(**(settings | changes))


def untrained_file(context: Context, folder: Path) -> tuple[OnnxNetwork, nn.Module]:
    """The file of an untrained network, open, and that network."""
    state = context.untrained()
    path = folder / "network.onnx"
    path.write_bytes(export_onnx(state, context))
    return OnnxNetwork(path, context.data, threads=1), context.network_of(state)


def rounded(state: NetworkState, context: Context, bits: int = 8) -> NetworkState:
    """Return the state rounded to so many bits, on integers everywhere, without training."""
    stage = Quantization(
        bits=bits,
        qat_epochs=0,
        batch_size=32,
        lr=1e-3,
        calibration_images=256,
        integers="everywhere",
    )
    return stage.apply(state, context)


def toy_plan(
    sparsity: float = 0.0,
    bits: int = 32,
    *,
    epochs: int = 1,
    qat_epochs: int = 1,
    lr: float = 1e-3,
) -> Plan:
    common = {"batch_size": 128, "lr": lr}
    return Plan.of(
        BaselineTraining(epochs=epochs, **common),
        WeightPruning(sparsity=sparsity, epochs=epochs, **common),
        Quantization(bits=bits, qat_epochs=qat_epochs, integers="everywhere", **common),
    )


class Between(nn.Module):
    """Two convolutions, and what is computed between them."""

    def __init__(self, compute: Callable[[Tensor, Tensor], Tensor], channels: int = 8) -> None:
        super().__init__()
        self.first, self.other = nn.Conv2d(1, 8, 3), nn.Conv2d(1, 8, 3)
        self.last, self.head = nn.Conv2d(channels, 4, 1), nn.Linear(4, 10)
        self.compute = compute

    def forward(self, x: Tensor) -> Tensor:
        between = self.compute(self.first(x), self.other(x))
        return self.head(self.last(between).mean((2, 3)))


def weights(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def made_attributes(**others: Any) -> dict[str, Any]:
    """What each trial of `search.run` says of itself."""
    scores = ("val_accuracy_pct", "test_accuracy_pct")
    numbers = dict.fromkeys((*NEEDED, *scores), 1.0) | {
        "artifact_bytes": 1000,
        "stage_seconds": {},
    }
    return numbers | {"plan": toy_plan().to_json(), "artifact": "trial.onnx"} | others
