"""Fold batch normalization into the layer before it: fewer numbers to ship, the same answers.

With running mean m, variance v, scale g and shift b, a layer W x + c followed by batch norm is

    W' = W * g / sqrt(v + eps),   c' = (c - m) * g / sqrt(v + eps) + b

Source: Jacob et al. 2018, arXiv:1712.05877, section 3.2.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def fold_batch_norms_(network: nn.Module) -> bool:
    """Fold, in place, each batch norm that follows a layer directly; return whether any was.

    A network whose forward pass cannot be traced keeps its batch norms, which is correct, only
    larger.
    """
    network.eval()
    pairs = _pairs(network)
    for layer_name, norm_name in pairs:
        layer, norm = network.get_submodule(layer_name), network.get_submodule(norm_name)
        fuse: Any = fuse_linear_bn_eval if isinstance(layer, nn.Linear) else fuse_conv_bn_eval
        with torch.no_grad():
            fused = fuse(layer, norm)
        _replace(network, layer_name, fused)
        _replace(network, norm_name, nn.Identity())
    return bool(pairs)


def unfolded(weights: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Return `weights`, a state dict of `network` after folding, as one of `network` itself.

    A batch norm that was folded gets m = 0, v = 1 - eps, g = 1, b = 0, which changes nothing;
    where the layer before it has no c, m = -c'.
    """
    state = dict(weights)
    for layer_name, norm_name in _pairs(network):
        norm: Any = network.get_submodule(norm_name)
        mean = torch.zeros(len(state[f"{layer_name}.weight"]))  # channels may have been removed
        if network.get_submodule(layer_name).bias is None:
            mean = -state.pop(f"{layer_name}.bias")
        neutral = {
            "running_mean": mean,
            "running_var": torch.full_like(mean, 1 - norm.eps),
            "weight": torch.ones_like(mean),
            "bias": torch.zeros_like(mean),
            "num_batches_tracked": torch.tensor(0),
        }
        state |= {f"{norm_name}.{name}": neutral[name] for name in norm.state_dict()}
    return {name: state[name] for name in network.state_dict()}


def _pairs(network: nn.Module) -> list[tuple[str, str]]:
    """Return the names of (layer, batch norm) where nothing else reads the layer's output."""
    if not any(isinstance(module, BATCH_NORMS) for module in network.modules()):
        return []
    try:
        graph = fx.Tracer().trace(network)
    except Exception:
        return []
    modules = dict(network.named_modules())
    called = [str(node.target) for node in graph.nodes if node.op == "call_module"]
    pairs = []
    for node in graph.nodes:
        if node.op != "call_module" or not isinstance(modules[str(node.target)], BATCH_NORMS):
            continue
        before = node.args[0]
        if before.op != "call_module" or len(before.users) != 1:
            continue
        layer, norm = modules[str(before.target)], modules[str(node.target)]
        foldable = isinstance(layer, CONVOLUTIONS) or (
            isinstance(layer, nn.Linear) and isinstance(norm, nn.BatchNorm1d)
        )
        once = called.count(str(before.target)) == called.count(str(node.target)) == 1
        if foldable and once and norm.running_var is not None:
            pairs.append((str(before.target), str(node.target)))
    return pairs


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent), attribute, module)
