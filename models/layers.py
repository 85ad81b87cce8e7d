"""Which layers of a network can be compressed."""

from torch import nn

COMPRESSIBLE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def compressible_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Return the layers whose `weight` is pruned and quantized, by name, in module order.

    Their weights have shape (C_out, ...); biases are never pruned.
    """
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, COMPRESSIBLE)
    }
