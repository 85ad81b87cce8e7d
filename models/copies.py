"""A copy of a network that shares nothing with it."""

import copy

from torch import Tensor, nn


def copy_network(network: nn.Module) -> nn.Module:
    """Return a deep copy, also where a module keeps what it has computed.

    Python's own copy refuses tensors that remember how they were made, as torch's old weight norm
    keeps them.
    """
    computed: dict[int, Tensor] = {
        id(value): value.detach().clone()
        for module in network.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and value.grad_fn is not None
    }
    return copy.deepcopy(network, dict(computed))
