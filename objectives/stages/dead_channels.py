"""Take out, at the end, channels that training has made useless; the answers stay the same.

Where training pays for bits, whole neurons go: all weights that make a channel are zero, or all
that read it. Such a channel needs no place in a file. It is taken out with everything that is
bound to it, as `objectives.stages.channel_groups` does, if no weight makes it and its bias is not
positive, as a ReLU leaves nothing of that, or if no weight reads it. Whether the network then
answers as before is seen on real inputs. If not, as where there is no ReLU, biases must be 0.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_pruning.pruner import function

from models.inputs import Given, ask
from objectives.artifact.agreement import TOLERANCE, distance
from objectives.context import Context
from objectives.errors import TrialError
from objectives.network.state import NetworkState
from objectives.network.structure import SPLITTABLE
from objectives.stages.channel_groups import keep_channels

COMPARED_INPUTS = 256
READING = (function.prune_conv_in_channels, function.prune_linear_in_channels)


def without_dead_channels(state: NetworkState, context: Context, inputs: Given) -> NetworkState:
    """Return `state` without its dead channels; itself if there are none that can go.

    Args:
        state: Without masks or formats.
        context: Model, data, and which layers are compressed.
        inputs: On which the answers must stay the same.
    """
    if not any(_has_empty_line(weight) for weight in state.weights.values()):
        return state  # as most often without training, and the search for channels takes long
    compared, *_ = inputs.split(COMPARED_INPUTS)

    @torch.no_grad()
    def answers(each: NetworkState) -> np.ndarray:
        found: np.ndarray = ask(context.network_of(each), compared).numpy()
        return found

    before = answers(state)
    for has_relu in (True, False):
        try:
            smaller = keep_channels(state, context, share=None, worth=partial(worth, has_relu))
        except TrialError:
            return state
        if distance(answers(smaller), before) <= TOLERANCE:
            return smaller
    return state


def _has_empty_line(weight: Tensor) -> bool:
    """Return whether all is zero that makes, or that reads, a channel of `weight`."""
    if weight.dim() < 2:
        return False
    by_row, by_column = (each.flatten(1).any(1) for each in (weight, weight.transpose(0, 1)))
    return not (bool(by_row.all()) and bool(by_column.all()))


@torch.no_grad()
def worth(has_relu: bool, group: Any) -> Tensor:  # noqa: ANN401 - Torch-Pruning ships no types
    """Return what each channel of a group of Torch-Pruning's is worth, (channels,): 0 if dead.

    Where something else than dense layers and convolutions has parameters, none is dead.
    """
    channels = len(group[0].idxs)
    made, read, readers = torch.zeros(channels), torch.zeros(channels), 0
    for item in group:
        layer, places = item.dep.layer, torch.tensor(item.root_idxs)
        if isinstance(layer, nn.Parameter) or next(layer.parameters(), None) is not None:
            if type(layer) not in SPLITTABLE:
                return torch.ones(channels)
            if item.dep.pruning_fn in READING:
                readers += 1
                weights = layer.weight.abs().transpose(0, 1).flatten(1).sum(1)
                read.index_add_(0, places, weights[item.idxs])
            else:
                weights = layer.weight.abs().flatten(1).sum(1)
                if layer.bias is not None:
                    weights += layer.bias.relu() if has_relu else layer.bias.abs()
                made.index_add_(0, places, weights[item.idxs])
    return ((made > 0) & ((read > 0) | (readers == 0))).float()
