"""Train the baseline: the uncompressed network that everything is measured against."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch

from models.checks import require
from models.classifier import OPTIMIZERS, Optimizer
from objectives.artifact.sizes import checkpoint_bytes
from objectives.context import Context
from objectives.network.state import NetworkState, copy_weights
from objectives.network.structure import make_weights_plain_
from objectives.stages.base import FineTuned
from objectives.training.loop import require_training, stage_seed, train_


@dataclass(frozen=True, kw_only=True)
class BaselineTraining(FineTuned):
    """Train a newly initialized network."""

    stage = "train"
    version = 1
    kind = "training"
    is_method = False
    fewest_epochs = 1
    of_the_paper = True
    before: ClassVar[Mapping[str, Any]] = MappingProxyType({"optimizer": "adam"})

    weights: str | None = None
    """Hash of the file of trained weights that is taken instead of training; epochs are 0 then."""
    optimizer: Optimizer = "adam"
    """Whose learning rate `lr` is, of a network without training of its own."""

    def __post_init__(self) -> None:
        require(
            self.optimizer in OPTIMIZERS, f"optimizer in {OPTIMIZERS}", optimizer=self.optimizer
        )
        if self.weights is None:
            super().__post_init__()
        require_training(self)

    def apply(self, state: NetworkState, context: Context) -> NetworkState:
        """Return the trained weights; `state` is empty, as nothing comes before."""
        if self.weights is not None:
            assert context.weights is not None
            network = context.build_network()
            network.load_state_dict(context.weights)  # float32, whatever the file has
            make_weights_plain_(network)
            return NetworkState(weights=copy_weights(network))
        torch.manual_seed(stage_seed(context.seed, self.stage))
        network = context.build_network()
        used = train_(
            network,
            context,
            stage=self.stage,
            epochs=self.epochs,
            batch_size=self.batch_size,
            lr=self.lr,
            optimizer=self.optimizer,
        )
        size = checkpoint_bytes(network, used)
        make_weights_plain_(network)
        return NetworkState(weights=copy_weights(network), checkpoint_bytes=size)
