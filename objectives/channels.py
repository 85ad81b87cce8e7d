"""Take whole channels out of a network, with everything that is bound to them.

A channel that one layer gives is normalized, read by the next layer, and where two layers are
added, as in a residual block, their channels are one and the same. Torch-Pruning follows the
network's graph and finds the groups: all that a channel takes with it.

Source: Fang et al. 2023, arXiv:2301.12900 ("DepGraph"), section 3.
"""

import warnings
from collections.abc import Callable, Collection, Iterator
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn

from models.layers import LAYERS
from objectives.context import Context
from objectives.errors import TrialError
from objectives.fold import CONVOLUTIONS
from objectives.state import NetworkState, copy_weights

Worth = Callable[[Any], Tensor]
"""Takes a group of Torch-Pruning's, gives what each of its channels is worth, (channels,)."""


def equal_worth(group: Any) -> Tensor:  # noqa: ANN401 - Torch-Pruning ships no types
    """Return the same for each channel, so that the first ones go."""
    return torch.zeros(len(group[0].idxs))


def keep_channels(
    state: NetworkState, context: Context, *, share: float, worth: Worth
) -> NetworkState:
    """Return `state` with max(1, round(share * C)) of the C channels of each group.

    The network's inputs and logits keep all of theirs. So do layers that are not compressed and
    convolutions in groups, unless a group is a channel; and what is bound to any of these.

    Args:
        state: Without masks or formats; it stays as it is.
        context: Model, data, and which layers are compressed.
        share: In (0, 1).
        worth: The channels that are worth least go; among equal ones the first.

    Raises:
        TrialError: There is no such channel, or without them the network does not run.
    """
    network, inputs = context.network_of(state), context.data.training_inputs(2)
    try:
        graph = _graph(network, inputs)
        groups = list(
            _removable(graph, [layer.module for layer in context.layers_of(network).values()])
        )
        for group in groups:
            values = worth(group)
            kept = max(1, round(share * len(values)))
            gone = values.argsort(stable=True)[: len(values) - kept].tolist()
            if gone:
                root = group[0].dep
                graph.get_pruning_group(root.target.module, root.handler, gone).prune()
        smaller = NetworkState(weights=copy_weights(network))
        with torch.no_grad():
            runs_as_built = torch.equal(network(inputs), context.network_of(smaller)(inputs))
    except Exception as err:  # of whatever the network does that its graph does not show
        reason = (str(err).splitlines() or [""])[0]
        raise TrialError(
            f"Channels of this network cannot be removed: {type(err).__name__}: {reason}"
        ) from err
    if not groups:
        raise TrialError(
            "Channels of this network cannot be removed: all are bound to inputs, logits or "
            "layers that stay."
        )
    if not runs_as_built:
        raise TrialError(
            "Channels of this network cannot be removed: its tensors do not tell its structure."
        )
    return smaller


def _graph(network: nn.Module, inputs: Tensor) -> Any:  # noqa: ANN401 - as above
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of parameters that are in no layer: these go too
        return torch_pruning.DependencyGraph().build_dependency(network, inputs)


def _removable(graph: Any, compressed: Collection[nn.Module]) -> Iterator[Any]:  # noqa: ANN401
    """Yield the groups whose channels can be removed, each with all of them."""
    for group in graph.get_all_groups(root_module_types=(nn.Linear, *CONVOLUTIONS)):
        giving = [dep.target for dep, _ in group if graph.is_out_channel_pruning_fn(dep.handler)]
        layers = [node.module for node in giving if isinstance(node.module, LAYERS)]
        are_logits = any(not node.outputs for node in giving)
        in_groups = any(_is_in_groups(dep.target.module) for dep, _ in group)
        if not are_logits and not in_groups and all(layer in compressed for layer in layers):
            yield group


def _is_in_groups(layer: object) -> bool:
    """Return whether `layer` is a convolution in groups of several channels."""
    return isinstance(layer, CONVOLUTIONS) and 1 < layer.groups < layer.out_channels
