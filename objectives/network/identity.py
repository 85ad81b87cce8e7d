"""What tells a study's network from any other."""

import hashlib
from contextlib import suppress

import torch
from torch import nn

from objectives.errors import TrialError
from objectives.network.fingerprint import Fingerprint
from objectives.network.source import package_of, sources_of
from objectives.network.studied import StudiedNetwork


def model_fingerprint(studied: StudiedNetwork) -> str:
    """Return a hash over the structure, the initial weights and the source of the network.

    Of a user's it is also over its code, its attributes, and what it computes as exported; see
    `objectives.network.fingerprint`.
    """
    network = _first(studied)
    digest = hashlib.sha256(f"{network}{studied.layers}".encode())
    for source in sources_of(network):
        digest.update(source)
    if studied.model.own:
        digest.update(_told(network).hexdigest().encode())
        with suppress(TrialError):  # what cannot be exported is refused, before it is trained
            digest.update(studied.digest().encode())
    for name, tensor in network.state_dict().items():
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def unhashed(studied: StudiedNetwork) -> list[str]:
    """Return where the network has something that no fingerprint can tell, in words."""
    return _told(_first(studied)).unknown if studied.model.own else []


def _first(studied: StudiedNetwork) -> nn.Module:
    """Return the network with the weights that the seed 0 gives it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return studied.build_network()


def _told(network: nn.Module) -> Fingerprint:
    """Return the fingerprint of what a user's network is beside its weights."""
    told = Fingerprint({package_of(type(module)) for module in network.modules()})
    told.add(network, "the network")
    return told
