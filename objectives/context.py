"""What every stage of every trial of a study shares."""

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from models.data_source import DataSource
from models.layers import ALL_LAYERS, compressible_layers
from models.normalize import Normalized
from models.registry import ModelSpec
from objectives.fold import fold_batch_norms_
from objectives.progress import Progress, SilentProgress
from objectives.recipe import Recipe
from objectives.source import sources_of
from objectives.state import NetworkState, copy_weights
from objectives.structure import SplitLayer, fit_shapes_, split_layers_

AfterEpoch = Callable[[int, float], None]
"""Takes the number of the epoch, from 1, and the validation accuracy, percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The model, the data and the seed that a plan is carried out with."""

    model: ModelSpec
    data: DataSource
    """Set up already."""
    seed: int
    accelerator: str = "cpu"
    """Lightning's name of the device to train on: cpu, cuda or mps."""
    threads: int = 1
    """That train on the CPU."""
    layers: tuple[str, ...] = ALL_LAYERS
    """Shell patterns of the layers that are compressed."""
    weights: dict[str, Tensor] | None = None
    """Trained weights that the baseline starts from, instead of being trained."""
    progress: Progress = field(default_factory=SilentProgress)
    recipe: Recipe = field(default_factory=Recipe)
    """How stages train."""
    teacher: NetworkState | None = None
    """The baseline, where the recipe distills it."""
    after_epoch: AfterEpoch | None = None
    """Told after each epoch of fine-tuning; it may raise."""

    def build_network(self) -> nn.Module:
        """Return a new untrained network on the CPU."""
        with warnings.catch_warnings():
            # Of inputs too small for a layer `check_network` tells in a line.
            warnings.filterwarnings("ignore", "Initializing zero-element tensors is a no-op")
            network = self.model.build(self.data.input_shape, self.data.num_classes)
        if self.model.normalize and self.data.mean_and_std is not None:
            network = Normalized(network, *self.data.mean_and_std)
        return network

    def network_of(self, state: NetworkState) -> nn.Module:
        """Return a new network with the structure and the weights of `state`.

        It is on the CPU, in evaluation mode.
        """
        network = self.build_network().eval()
        split_layers_(network, state.weights)
        if state.folded:
            fold_batch_norms_(network)
        fit_shapes_(network, state.weights)
        network.load_state_dict(state.weights)
        return network

    def fold(self, state: NetworkState) -> NetworkState:
        """Return `state` with batch norms folded where they can be."""
        if state.folded:
            return state
        network = self.network_of(state)
        if not fold_batch_norms_(network):
            return state
        return replace(state, weights=copy_weights(network), folded=True)

    def layers_of(self, network: nn.Module) -> dict[str, nn.Module]:
        """Return the layers of `network` that are compressed, by name: both of a split one."""
        split = [
            f"{name}.*"
            for name, module in network.named_modules()
            if isinstance(module, SplitLayer)
            and any(fnmatchcase(name, pattern) for pattern in self.layers)
        ]
        return compressible_layers(network, (*self.layers, *split))

    def layer_sizes(self) -> dict[str, int]:
        """Return the weights of each layer that is compressed, by name."""
        layers = self.layers_of(self.build_network())
        return {name: layer.get_parameter("weight").numel() for name, layer in layers.items()}

    def model_fingerprint(self) -> str:
        """Return a hash over structure, initial weights and source of the network.

        See `objectives.source` for what counts as its source.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = self.build_network()
        digest = hashlib.sha256(f"{network}{self.layers}".encode())
        for source in sources_of(network):
            digest.update(source)
        for name, tensor in network.state_dict().items():
            digest.update(f"{name}{tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()[:16]
