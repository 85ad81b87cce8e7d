"""Take whole channels out of a network, with everything that is bound to them.

A channel that one layer gives is normalized, read by the next layer, and where two layers are
added, as in a residual block, their channels are one and the same. Torch-Pruning follows the
network's graph and finds the groups: all that a channel takes with it. It reads the graph by
rules, which not every network follows, as where channels are shuffled, or flattened last. So what
goes is taken from random weights first: the smaller network must answer as the whole one does
whose removed numbers are zero. A group of which that is not so keeps its channels.

Source: Fang et al. 2023, arXiv:2301.12900 ("DepGraph"), section 3.
"""

import warnings
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch_pruning
from torch import Tensor, nn

from models.errors import first_line
from models.inputs import Given, ask, outputs_of, returned
from models.layers import LAYERS, Layer
from objectives.artifact.agreement import TOLERANCE, distance
from objectives.context import Context
from objectives.errors import TrialError
from objectives.network.exporter import keep
from objectives.network.fold import CONVOLUTIONS
from objectives.network.state import NetworkState, copy_weights

Worth = Callable[[Any], Tensor]
"""Takes a group of Torch-Pruning's, gives what each of its channels is worth, (channels,)."""

ACROSS_CHANNELS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm)
"""Norms that a channel of zeros takes part in: the two networks are compared without them."""

_RIGHT: dict[Hashable, list[str]] = {}
"""The layers whose channels could be removed of a network like it, where not all could."""


def equal_worth(group: Any) -> Tensor:  # noqa: ANN401 - Torch-Pruning ships no types
    """Return the same for each channel, so that the first ones go."""
    return torch.zeros(len(group[0].idxs))


def keep_channels(
    state: NetworkState, context: Context, *, share: float | None, worth: Worth
) -> NetworkState:
    """Return `state` with max(1, round(share * C)) of the C channels of each group.

    If `share` is None, with those that are worth anything, or one.

    The network's inputs and logits keep all of theirs. So do layers that are not compressed, tied
    weights, and convolutions in groups, unless a group is a channel; and what is bound to any of
    these.

    Args:
        state: Without masks or formats; it stays as it is.
        context: Model, data, and which layers are compressed.
        share: In (0, 1), or None.
        worth: The channels that are worth least go; among equal ones the first.

    Raises:
        TrialError: There is no such channel, or without them the network does not run.
    """
    surgery = _Surgery(state, context, share, worth)
    try:
        layers = surgery.layers()
    except Exception as err:  # of whatever a network does that Torch-Pruning has no rule for
        raise _refused(_told(err)) from err
    if not layers:
        raise _refused("all are bound to inputs, logits or layers that stay.")
    key = (*context.identity(state.weights), context.layers)
    fault = surgery.fault_of(right := _RIGHT.get(key, layers))
    if fault is not None:
        right = surgery.right_among(layers)
        if not right:
            raise _refused(fault)
        if (together := surgery.fault_of(right)) is not None:
            raise _refused(together)
        keep(_RIGHT, key, right)
    return surgery.without(right)


def _refused(fault: str) -> TrialError:
    return TrialError(
        f"Channels of this network cannot be removed (leave out `channels`, `width`): {fault}"
    )


def _told(err: Exception) -> str:
    return f"{type(err).__name__}: {first_line(err)}"


class _Surgery:
    """One way to take channels out of a network, to be tried on groups of its layers."""

    def __init__(
        self, state: NetworkState, context: Context, share: float | None, worth: Worth
    ) -> None:
        self._state = state
        self._context = context
        self._share = share
        self._worth = worth
        self._inputs = context.data.training_inputs(2)

    def layers(self) -> list[str]:
        """Return the first layer of each group whose channels may be removed."""
        network = self._context.network_of(self._state)
        return list(self._groups(network, self._graph(network)))

    def without(self, layers: Collection[str]) -> NetworkState:
        """Return the state without channels of the groups of `layers`."""
        return _picked(self._state, self._kept(layers))

    def right_among(self, layers: Sequence[str]) -> list[str]:
        """Return those of `layers` that can lose channels, found by halving."""
        if self.fault_of(layers) is None:
            return list(layers)
        if len(layers) == 1:
            return []
        middle = len(layers) // 2
        return self.right_among(layers[:middle]) + self.right_among(layers[middle:])

    def fault_of(self, layers: Collection[str]) -> str | None:
        """Return why channels of the groups of `layers` cannot be removed, None if they can."""
        try:
            kept, whole = self._kept(layers), _randomized(self._state)
            smaller = _picked(whole, kept)
            answer, expected = self._answer(smaller), self._answer(_zeroed(whole, kept))
            with torch.no_grad():
                ask(self._context.network_of(smaller), self._inputs.clone())  # with its norms
        except Exception as err:  # of whatever the network does that its graph does not show
            return _told(err)
        if not distance(answer, expected) <= TOLERANCE:
            return "without them it answers otherwise than if they were zero."
        return None

    def _answer(self, state: NetworkState) -> np.ndarray:
        """Return what the network of `state` gives, without norms across channels."""
        network = self._context.network_of(state)
        for module in network.modules():
            if isinstance(module, ACROSS_CHANNELS):
                module.forward = lambda x: x  # type: ignore[method-assign]
        with torch.no_grad():
            answer: np.ndarray = ask(network, self._inputs.clone()).numpy()
        return answer

    def _kept(self, layers: Collection[str]) -> dict[str, Tensor]:
        """Return, shaped as it will be, which of its numbers each tensor of the state keeps.

        The same channels are taken out of a network whose numbers are their own places.
        """
        network, places = (self._context.network_of(self._state) for _ in range(2))
        graph, graph_of_places = self._graph(network), self._graph(places)
        for tensor in (*places.parameters(), *places.buffers()):
            tensor.data = torch.arange(tensor.numel(), dtype=torch.float64).view(tensor.shape)
        groups = {
            name: group for name, group in self._groups(network, graph).items() if name in layers
        }
        worth = {name: self._worth(group) for name, group in groups.items()}
        for name, values in worth.items():
            share = self._share
            kept = int((values > 0).sum()) if share is None else round(share * len(values))
            gone = values.argsort(stable=True)[: len(values) - max(1, kept)].tolist()
            if gone:
                layer, handler = places.get_submodule(name), groups[name][0].dep.handler
                graph_of_places.get_pruning_group(layer, handler, gone).prune()
        return {name: tensor.long() for name, tensor in copy_weights(places).items()}

    def _graph(self, network: nn.Module) -> Any:  # noqa: ANN401 - Torch-Pruning ships no types
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parameters that are in no layer: these go too
            return torch_pruning.DependencyGraph().build_dependency(
                network, self._inputs.clone(), forward_fn=_outputs
            )

    def _groups(self, network: nn.Module, graph: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
        """Return the groups whose channels can be removed, by the name of their first layer."""
        names = {module: name for name, module in network.named_modules()}
        layers = self._context.layers_of(network).values()
        return {
            names[group[0].dep.target.module]: group
            for group in _removable(graph, [layer for layer in layers if not layer.is_tied])
        }


def _outputs(network: nn.Module, given: Given) -> list[Tensor]:
    return list(outputs_of(returned(network, given)).values())


def _removable(graph: Any, layers: Sequence[Layer]) -> Iterator[Any]:  # noqa: ANN401 - as above
    """Yield the groups whose channels can be removed, each with all of them."""
    compressed = {layer.module for layer in layers}
    for group in graph.get_all_groups(root_module_types=(nn.Linear, *CONVOLUTIONS)):
        giving = [dep.target for dep, _ in group if graph.is_out_channel_pruning_fn(dep.handler)]
        bound = {node.module for node in giving if isinstance(node.module, LAYERS)}
        are_logits = any(not node.outputs for node in giving)
        in_groups = any(_is_in_groups(dep.target.module) for dep, _ in group)
        if not are_logits and not in_groups and bound <= compressed:
            yield group


def _is_in_groups(layer: object) -> bool:
    """Return whether `layer` is a convolution in groups of several channels."""
    return isinstance(layer, CONVOLUTIONS) and 1 < layer.groups < layer.out_channels


def _picked(state: NetworkState, kept: Mapping[str, Tensor]) -> NetworkState:
    """Return `state` with the numbers at the places `kept` alone."""
    return NetworkState(
        weights={name: tensor.flatten()[kept[name]] for name, tensor in state.weights.items()},
        folded=state.folded,
    )


def _zeroed(state: NetworkState, kept: Mapping[str, Tensor]) -> NetworkState:
    """Return `state` with zeros everywhere but at the places `kept`."""
    weights = {}
    for name, tensor in state.weights.items():
        weights[name] = torch.zeros_like(tensor)
        places = kept[name].flatten()
        weights[name].view(-1)[places] = tensor.flatten()[places]
    return NetworkState(weights=weights, folded=state.folded)


def _randomized(state: NetworkState) -> NetworkState:
    """Return `state` with random numbers: trained ones may be zero where a fault would show."""
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, tensor in state.weights.items():
        if not tensor.is_floating_point():
            weights[name] = tensor
        elif tensor.dim() > 1:
            spread = tensor[0].numel() ** -0.5
            weights[name] = spread * torch.randn(tensor.shape, generator=generator)
        else:  # variances are positive
            weights[name] = 0.5 + torch.rand(tensor.shape, generator=generator)
    return NetworkState(weights=weights, folded=state.folded)
