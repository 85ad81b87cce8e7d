"""The networks, by name, and what makes their norms and channels worth a comparison."""

from collections.abc import Callable, Mapping
from importlib import import_module

import torch
from torch import nn

NETWORKS: dict[str, Callable[[], nn.Module]] = {}
"""What builds each network, by name; see `all_networks`."""

MODULES = ("batch_norms", "convolutions", "channels", "tied", "attention", "computed", "theirs")


def network(kind: type[nn.Module]) -> type[nn.Module]:
    """Put a class of networks into `NETWORKS`, under what its docstring begins with."""
    name = (kind.__doc__ or "").partition(":")[0]
    NETWORKS[name] = kind
    return kind


def all_networks() -> Mapping[str, Callable[[], nn.Module]]:
    """Return what builds each network of `benchmarks.conformance.networks`, by name."""
    for module in MODULES:
        import_module(f"benchmarks.conformance.networks.{module}")
    return NETWORKS


def randomize_(network: nn.Module, seed: int = 0) -> None:
    """Give `network`, in place, norms that do something, and let it do what else it wants.

    A new norm has a mean of 0 and a variance of 1: a file without it would answer equally.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point():
            continue
        if name.endswith(("running_mean", "mean")):
            tensor.normal_(0, 0.2, generator=generator)
        elif name.endswith(("running_var", "variance")):
            tensor.uniform_(0.5, 2, generator=generator)
        elif tensor.dim() == 1 and tensor.numel() > 1:
            tensor.add_(torch.empty_like(tensor).normal_(0, 0.1, generator=generator))
    own = getattr(network, "randomize_", None)
    if own is not None:
        own()
