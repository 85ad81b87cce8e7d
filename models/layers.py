"""Which layers of a network can be compressed."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

COMPRESSIBLE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Embedding)
ALL_LAYERS = ("*",)


def compressible_layers(
    network: nn.Module, patterns: Sequence[str] = ALL_LAYERS
) -> dict[str, nn.Module]:
    """Return the layers whose `weight` is pruned and quantized, by name, in module order.

    Their weights have shape (C_out, ...), an embedding's (entries, ...); biases are never pruned.

    Args:
        network: Any module; a layer that it holds twice counts once, under its first name.
        patterns: Shell patterns such as "features.*"; a layer counts if one matches its name.
    """
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, COMPRESSIBLE)
        and any(fnmatchcase(name, pattern) for pattern in patterns)
    }
