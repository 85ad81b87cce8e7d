"""The network of a study: how it is built, changed, exported and known again."""

import warnings
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import torch
from onnx import ModelProto
from torch import Tensor, nn
from torch.nn import UninitializedParameter

from models.data_source import DataSource
from models.inputs import returned
from models.layers import ALL_LAYERS, Layer, compressible_layers
from models.normalize import Normalized
from models.registry import ModelSpec
from objectives.network.exporter import Exported, exported, keep
from objectives.network.fold import (
    FoldableNorm,
    drop_norms_,
    fold_norms_,
    foldable_norms,
    folded,
    unfolded,
)
from objectives.network.integers import IntegerPlan, plan_integers
from objectives.network.state import NetworkState, copy_weights
from objectives.network.structure import (
    SplitLayer,
    fit_shapes_,
    make_tensors_plain_,
    make_weights_plain_,
    split_layers_,
)
from objectives.network.value_graph import ValueGraph, pool_globally_
from objectives.network.values import Values, find_values


@dataclass(frozen=True, slots=True, kw_only=True)
class _Base:
    """What exporting a network once has told of it."""

    digest: str
    """Hash of what it computes."""
    read: frozenset[str]
    """Names of the tensors in its state that `forward` computes with."""
    norms: tuple[FoldableNorm, ...]
    """The norms that can be folded."""


_BASES: dict[Hashable, _Base] = {}
_VALUES: dict[Hashable, Values] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class StudiedNetwork:
    """Builds a network for data, in each structure that its states have."""

    model: ModelSpec
    data: DataSource
    """Set up already."""
    layers: tuple[str, ...] = ALL_LAYERS
    """Shell patterns of the layers that are compressed."""

    def build_network(self) -> nn.Module:
        """Return a new untrained network on the CPU, as it is trained first.

        Raises:
            BadInputError: A tensor of it is sparse.
        """
        with warnings.catch_warnings():
            # Of inputs too small for a layer `check_network` tells in a line.
            warnings.filterwarnings("ignore", "Initializing zero-element tensors is a no-op")
            network = self.model.build(self.data.input_shape, self.data.num_classes)
        if self.model.normalize and self.data.mean_and_std is not None:
            network = Normalized(network, *self.data.mean_and_std)
        make_tensors_plain_(network)
        if any(isinstance(each, UninitializedParameter) for each in network.parameters()):
            with torch.no_grad():
                returned(
                    network.eval(), self.data.training_inputs(2)
                )  # lazy layers look at their inputs
        return network

    def network_of(self, state: NetworkState) -> nn.Module:
        """Return a new network with the structure and the weights of `state`.

        It is on the CPU, in evaluation mode.
        """
        network = self.shaped(state.weights)
        if state.folded:
            fold_norms_(network, self.norms(state.weights))
        network.load_state_dict(state.weights)
        return network

    def untrained(self) -> NetworkState:
        """Return the state of a new network."""
        network = self.build_network()
        make_weights_plain_(network)
        return NetworkState(weights=copy_weights(network))

    def fold(self, state: NetworkState) -> NetworkState:
        """Return `state` with batch norms folded where they can be."""
        has_norms = any(name.endswith("running_mean") for name in state.weights)
        norms = self.norms(state.weights) if has_norms and not state.folded else []
        if not norms:
            return state
        return replace(state, weights=folded(state.weights, norms), folded=True)

    def unfold(self, state: NetworkState) -> dict[str, Tensor]:
        """Return the weights of `state` as of a network whose folded norms change nothing."""
        if not state.folded:
            return state.weights
        return unfolded(state.weights, self.norms(state.weights))

    def reads(self, name: str) -> bool:
        """Return whether `forward` computes with a tensor of the network's state."""
        return name in self._base().read

    def digest(self) -> str:
        """Return a hash of what the network computes, as exported."""
        return self._base().digest

    def exported(self, state: NetworkState, *, anew: bool = False) -> Exported:
        """Return the graph of the network of `state` with no norm folded.

        Args:
            state: With the structure that is exported.
            anew: Whether to do so also if it was done before.

        Raises:
            MeasurementError: The network cannot be exported; the text names the layer.
        """
        weights, inputs = self.unfold(state), self.data.training_inputs(2)
        return exported(
            self.identity(weights),
            lambda: self.shaped(weights),
            inputs,
            varying=self.data.varying_axes,
            anew=anew,
        )

    def graph(self, state: NetworkState) -> ModelProto:
        """Return, to edit, the graph of the network of `state`, its folded norms left out.

        Raises:
            MeasurementError: The network cannot be exported; the text names the layer.
        """
        exported_graph = self.exported(state)
        model = exported_graph.model()
        if state.folded:
            drop_norms_(model.graph, self.norms(state.weights))
        pool_globally_(model.graph, exported_graph.pools)
        return model

    def layers_of(self, network: nn.Module) -> dict[str, Layer]:
        """Return the layers of `network` that are compressed, by name: both of a split one.

        Those that `forward` does not compute with are left out: they are not in the file either.
        """
        split = [name for name, each in network.named_modules() if isinstance(each, SplitLayer)]
        patterns = [
            f"{name}.*"
            for name in split
            if any(fnmatchcase(name, pattern) for pattern in self.layers)
        ]
        layers = compressible_layers(network, (*self.layers, *patterns))
        if self.model.exports:  # it is known that all are used
            return layers
        read = self._base().read
        return {
            name: layer
            for name, layer in layers.items()
            if layer.weight_name in read or name.rpartition(".")[0] in split
        }

    def values(self, state: NetworkState) -> Values:
        """Return where the network of `state` computes the values of its `graph`.

        Raises:
            MeasurementError: The network cannot be exported; the text names the layer.
        """
        key = *self.identity(state.weights), state.folded
        if key not in _VALUES:
            inputs = self.data.training_inputs(2)
            network = self.network_of(state)
            keep(_VALUES, key, find_values(network, self.graph(state), inputs, state.weights))
        return _VALUES[key]

    def taken(self, state: NetworkState, layers: Mapping[str, Layer]) -> dict[str, list[str]]:
        """Return the values that each of `layers` multiplies, where the network's code has them.

        Raises:
            MeasurementError: The network cannot be exported; the text names the layer.
        """
        products = ValueGraph(self.graph(state).graph).products(layers)
        known = self.values(state).calls
        return {
            name: [each.taken for each in found]
            for name, found in products.items()
            if all(each.taken in known for each in found)
        }

    def integers(
        self, state: NetworkState, layers: Mapping[str, Layer], *, everywhere: bool
    ) -> IntegerPlan:
        """Return what becomes integers where the weights of `layers` do; see `plan_integers`."""
        graph = self.graph(state).graph
        return plan_integers(graph, self.values(state), layers, everywhere=everywhere)

    def layer_sizes(self) -> dict[str, int]:
        """Return the weights of each layer that is compressed, by name."""
        network = self.build_network()
        make_weights_plain_(network)
        return {name: layer.weight.numel() for name, layer in self.layers_of(network).items()}

    def shaped(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """Return a new network, in evaluation mode, whose tensors have the shapes of `weights`."""
        network = self.build_network()
        make_weights_plain_(network)
        split_layers_(network, weights)
        fit_shapes_(network, weights)
        return network

    def identity(self, weights: Mapping[str, Tensor]) -> tuple[Hashable, ...]:
        """Return what decides a network but for its numbers: its maker, and their shapes."""
        shapes = tuple(sorted((name, tensor.shape) for name, tensor in weights.items()))
        return (*self._maker(), shapes)

    def _maker(self) -> tuple[Hashable, ...]:
        """Return what decides the network that is built, but for its initial weights."""
        normalized = ""
        if self.model.normalize and self.data.mean_and_std is not None:
            normalized = str([values.tolist() for values in self.data.mean_and_std])
        return self.model.build, self.data.input_shape, self.data.num_classes, normalized

    def _base(self) -> "_Base":
        """Return what is known of the network before anything is removed or split."""
        key = self._maker()
        if key not in _BASES:
            state = self.untrained()
            graph = self.exported(state)
            base = _Base(
                digest=graph.digest(),
                read=frozenset(graph.tensors()),
                norms=tuple(foldable_norms(graph, self.shaped(state.weights))),
            )
            keep(_BASES, key, base)
        return _BASES[key]

    def norms(self, weights: Mapping[str, Tensor]) -> list[FoldableNorm]:
        """Return the norms that can be folded in a state, or are."""
        return [norm.after_split(weights) for norm in self._base().norms]
