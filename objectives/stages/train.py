"""Train the baseline: the uncompressed network that everything is measured against."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from models.checks import require
from objectives.artifact.sizes import checkpoint_bytes
from objectives.context import Context
from objectives.network.state import NetworkState, copy_weights
from objectives.network.structure import make_weights_plain_
from objectives.training.loop import require_training, stage_seed, train_


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineTraining:
    """Train a newly initialized network."""

    stage: ClassVar[str] = "train"
    version: ClassVar[int] = 1

    epochs: int
    """Passes over the training part."""
    batch_size: int
    """Images in a step."""
    lr: float
    """Adam's learning rate."""
    weights: str | None = None
    """Hash of the file of trained weights that is taken instead of training; epochs are 0 then."""

    def __post_init__(self) -> None:
        if self.weights is None:
            require(self.epochs >= 1, "epochs >= 1", epochs=self.epochs)
        require_training(self)

    @property
    def described(self) -> str:
        """The method in a few words."""
        return ""

    @property
    def is_neutral(self) -> bool:
        """A baseline is always trained."""
        return False

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
        optimizer = train_(
            network,
            context,
            stage=self.stage,
            epochs=self.epochs,
            batch_size=self.batch_size,
            lr=self.lr,
        )
        size = checkpoint_bytes(network, optimizer)
        make_weights_plain_(network)
        return NetworkState(weights=copy_weights(network), checkpoint_bytes=size)
