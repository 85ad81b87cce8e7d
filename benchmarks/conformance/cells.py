"""One network through one stage: how far the file's answers are from the network's."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from benchmarks.conformance.registry import randomize_
from models.data.mnist5k import MNIST5k
from models.data_source import DataOptions, DataSource
from models.errors import BadInputError
from models.registry import ModelSpec
from objectives.artifact.agreement import largest_difference
from objectives.artifact.export import export_onnx
from objectives.context import Context
from objectives.network.state import NetworkState, copy_weights
from objectives.preflight.network import check_methods, check_network
from objectives.stages.base import Stage, Tuning
from objectives.stages.binary import BinaryWeights
from objectives.stages.channels import ChannelRemoval
from objectives.stages.cluster import Clustering
from objectives.stages.differentiable import DifferentiableQuantization
from objectives.stages.factorize import Factorization
from objectives.stages.fixed_point import FixedPoint
from objectives.stages.mixed import MixedPrecision
from objectives.stages.n_m import GroupPruning
from objectives.stages.power_of_two import PowerOfTwo
from objectives.stages.product import ProductQuantization
from objectives.stages.prune import WeightPruning
from objectives.stages.quantize import Quantization
from objectives.stages.uniform import UniformSteps
from objectives.stages.width import WidthMultiplier

TRAIN_FRACTION = 0.1
"""Of 4,000 digits, 30 % of which are held out: an epoch is a blink."""

_ROUNDED = Tuning(epochs=1, qat_epochs=0, batch_size=64, lr=1e-3)
_TRAINED = replace(_ROUNDED, qat_epochs=1)
_COMMON: dict[str, Any] = {"batch_size": 64, "lr": 1e-3}


def _quantized(bits: int, **settings: Any) -> Quantization:
    return Quantization(bits=bits, qat_epochs=0, **_COMMON, **settings)


STAGES: dict[str, Stage | None] = {
    "none": None,
    "prune": WeightPruning(sparsity=0.8, epochs=1, **_COMMON),
    "n_m": GroupPruning(epochs=0, **_COMMON),
    "16 bits": _quantized(16),
    "8 bits": _quantized(8, integers="everywhere"),
    "8 bits, QAT": replace(_quantized(8, integers="everywhere"), qat_epochs=1),
    "4 bits": _quantized(4, integers="everywhere", symmetric=False),
    "2 bits": _quantized(2),
    "mixed": MixedPrecision(mean_bits=4.0, qat_epochs=0, **_COMMON),
    "cluster": Clustering.start(_ROUNDED),
    "cluster, tuned": replace(Clustering.start(_TRAINED), bits=2),
    "product": ProductQuantization.start(_ROUNDED),
    "fixed_point": FixedPoint.start(_ROUNDED),
    "fixed_point, 4 bits": replace(FixedPoint.start(_ROUNDED), bits=4, input_bits=4),
    "power_of_two": PowerOfTwo.start(_ROUNDED),
    "binary": BinaryWeights.start(_ROUNDED),
    "differentiable": DifferentiableQuantization.start(_ROUNDED),
    "uniform": UniformSteps.start(_ROUNDED),
    "uniform, tuned": replace(UniformSteps.start(_TRAINED), rate=0.1),
    "width": WidthMultiplier(width=0.5, epochs=1, **_COMMON),
    "channels": ChannelRemoval(share=0.5, epochs=0, **_COMMON),
    "factorize": Factorization(energy=0.7, epochs=0, **_COMMON),
}
"""Each kind of stage, by what the table calls it; None is the uncompressed file."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What came out."""

    off: float | None
    """Distance of the file's answers, standard deviations of the network's; None if refused."""
    reason: str = ""
    """Why it was refused, before anything was trained."""


def conformance_data() -> DataSource:
    """Return the digits that all networks are given, 32 x 32 pixels, read."""
    data = MNIST5k(DataOptions(input_size=32, train_fraction=TRAIN_FRACTION))
    data.setup()
    return data


class Subject:
    """One network, looked at as before a study.

    Args:
        build: Makes it.
        data: Set up already.
    """

    def __init__(self, build: Callable[[], nn.Module], data: DataSource) -> None:
        def made(*_: object) -> nn.Module:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                return build()

        self.context = Context(model=ModelSpec(build=made, data="mnist5k"), data=data, seed=0)
        self._refusal = ""
        try:
            check_network(self.context)
        except BadInputError as err:
            self._refusal = str(err)

    def through(self, stage: str) -> Cell:
        """Carry out a stage, write the file and compare.

        Raises:
            TrialError: It went wrong after it had begun, which is what must not be.
        """
        context, settings = self.context, STAGES[stage]
        if self._refusal:
            return Cell(None, self._refusal)
        try:
            check_methods([stage], context)
        except BadInputError as err:
            return Cell(None, str(err))
        network = context.network_of(context.untrained())
        randomize_(network)
        state = NetworkState(weights=copy_weights(network))
        if settings is not None:
            state = settings.apply(state, context)
        content = export_onnx(state, context)
        return Cell(largest_difference(content, state, context).distance)
