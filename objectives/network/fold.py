"""Fold batch normalization into the layer before it: fewer numbers to ship, the same answers.

With running mean m, variance v, scale g and shift b, a layer W x + c followed by batch norm is

    W' = W * g / sqrt(v + eps),   c' = (c - m) * g / sqrt(v + eps) + b

Which norms follow a layer directly is read off the exported graph, so that it does not matter how
the network's code puts it. A folded norm is the identity; one whose module does more than that, as
timm's, which has an activation, stays and computes with numbers that change nothing.

Source: Jacob et al. 2018, arXiv:1712.05877, section 3.2.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from onnx import GraphProto, NodeProto, helper
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from objectives.network.exporter import Exported
from objectives.network.graph_inputs import given_inputs

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
FOLDABLE = ("Conv", "Gemm")
"""Operators whose weight has the output channel as its first axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldableNorm:
    """A batch norm that reads nothing but a layer's output, which nothing else reads."""

    layer: str
    """Path of the layer's module."""
    has_bias: bool
    """Whether it has a bias before the norm is folded into it."""
    norm: str
    """Path of the module that has the norm's running mean."""
    is_plain: bool
    """Whether that module is torch's own batch norm, and calling it is what computes the norm."""
    mean: str
    """Name in the state dict, as the following."""
    variance: str
    scale: str | None
    """None for 1."""
    shift: str | None
    """None for 0."""
    eps: float

    @property
    def count(self) -> str:
        """Name of the number of batches that the mean was taken over, if that is in the state."""
        return ".".join(part for part in (self.norm, "num_batches_tracked") if part)

    def after_split(self, weights: Mapping[str, Tensor]) -> "FoldableNorm":
        """Return the norm of a state in which the layer may be two: it follows the second."""
        second = f"{self.layer}.1"
        return replace(self, layer=second) if f"{second}.weight" in weights else self

    def neutral(self, mean: Tensor) -> dict[str, Tensor]:
        """Return tensors by name with which the norm takes off `mean` (C,) and no more."""
        values = {self.mean: mean, self.variance: torch.full_like(mean, 1 - self.eps)}
        if self.scale is not None:
            values[self.scale] = torch.ones_like(mean)
        if self.shift is not None:
            values[self.shift] = torch.zeros_like(mean)
        return values


def foldable_norms(graph: Exported, network: nn.Module) -> list[FoldableNorm]:
    """Return the norms that can be folded of `network`, whose graph is `graph`."""
    whole = graph.model().graph
    nodes, state = whole.node, set(graph.tensors())
    producers = {output: node for node in nodes for output in node.output}
    read = Counter(name for node in nodes for name in node.input)
    read.update(value.name for value in whole.output)
    found = []
    for node in nodes:
        before = producers.get(node.input[0]) if node.op_type == "BatchNormalization" else None
        if before is None or before.op_type not in FOLDABLE or read[node.input[0]] != 1:
            continue
        weight, *bias = before.input[1:]
        scale, shift, mean, variance = node.input[1:]
        path, _, name = weight.rpartition(".")
        own = [weight, *bias, mean, variance, *state.intersection((scale, shift))]
        if (
            state.issuperset(own)
            and all(read[name] == 1 for name in own)
            and name == "weight"
            and bias in ([], [f"{path}.bias"])
            and graph.modules[before.output[0]] == path
            and (before.op_type == "Conv" or _attribute(before, "transB", 0) == 1)
        ):
            norm = mean.rpartition(".")[0]
            found.append(
                FoldableNorm(
                    layer=path,
                    has_bias=bool(bias),
                    norm=norm,
                    is_plain=graph.modules[node.output[0]] == norm
                    and type(network.get_submodule(norm)) in BATCH_NORMS,
                    mean=mean,
                    variance=variance,
                    scale=scale if scale in state else None,
                    shift=shift if shift in state else None,
                    eps=_attribute(node, "epsilon", 1e-5),
                )
            )
    return found


def _attribute(node: NodeProto, name: str, default: float) -> float:
    """Return the number that an attribute of `node` is, or ONNX's default."""
    found = [helper.get_attribute_value(each) for each in node.attribute if each.name == name]
    return float(found[0]) if found else default


def folded(weights: Mapping[str, Tensor], norms: Sequence[FoldableNorm]) -> dict[str, Tensor]:
    """Return the state dict `weights` with `norms` folded: layers have a bias, norms nothing."""
    state = dict(weights)
    for norm in norms:
        weight, bias = f"{norm.layer}.weight", f"{norm.layer}.bias"
        scale = None if norm.scale is None else state.pop(norm.scale)
        shift = None if norm.shift is None else state.pop(norm.shift)
        fused_weight, fused_bias = fuse_conv_bn_weights(
            state[weight],
            state.get(bias),
            state.pop(norm.mean),
            state.pop(norm.variance),
            norm.eps,
            scale,
            shift,
        )
        state |= {weight: fused_weight.detach(), bias: fused_bias.detach()}
        if norm.is_plain:
            state.pop(norm.count, None)
    return state


def unfolded(weights: Mapping[str, Tensor], norms: Sequence[FoldableNorm]) -> dict[str, Tensor]:
    """Return `weights`, with `norms` folded, as of the network as it was, whose norms do nothing.

    Where a layer has no bias, c, in the network, its norm takes off a mean of -c'.
    """
    state = dict(weights)
    for norm in norms:
        bias = f"{norm.layer}.bias"
        mean = torch.zeros_like(state[bias]) if norm.has_bias else -state.pop(bias)
        state |= norm.neutral(mean)
        if norm.is_plain:
            state[norm.count] = torch.tensor(0)
    return state


def drop_norms_(graph: GraphProto, norms: Sequence[FoldableNorm]) -> None:
    """Leave `norms` out of their network's exported `graph`, in place: layers have a bias."""
    nodes = list(graph.node)
    inputs = {value.name: value for value in graph.input}
    for norm in norms:
        node = next(each for each in nodes if norm.mean in each.input)
        layer = next(each for each in nodes if node.input[0] in each.output)
        bias = f"{norm.layer}.bias"
        if bias not in layer.input:
            layer.input.append(bias)
            inputs[bias] = type(inputs[norm.mean]).FromString(
                inputs[norm.mean].SerializeToString()
            )
            inputs[bias].name = bias
        layer.output[0] = node.output[0]
        nodes.remove(node)
    kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
    read = {name for node in kept for name in node.input}
    given = {value.name for value in given_inputs(graph)}
    copied = [type(value).FromString(value.SerializeToString()) for value in inputs.values()]
    graph.ClearField("node")
    graph.ClearField("input")
    graph.node.extend(kept)
    graph.input.extend(value for value in copied if value.name in read | given)


def fold_norms_(network: nn.Module, norms: Sequence[FoldableNorm]) -> None:
    """Give `network`, in place, the structure in which `norms` are folded.

    Its layers have a bias, of zeros where they had none, and its norms change nothing.
    """
    for norm in norms:
        layer: Any = network.get_submodule(norm.layer)
        if layer.bias is None:
            layer.bias = nn.Parameter(torch.zeros(len(layer.weight)))
        if norm.is_plain:
            parent, _, attribute = norm.norm.rpartition(".")
            setattr(network.get_submodule(parent), attribute, nn.Identity())
        else:
            _neutralize_(network, norm, channels=len(layer.weight))


def _neutralize_(network: nn.Module, norm: FoldableNorm, channels: int) -> None:
    """Let `norm` change nothing, in place, also while training; its numbers leave the state."""
    neutral = norm.neutral(torch.zeros(channels))
    module = network.get_submodule(norm.norm)
    for path, values in neutral.items():
        owner, _, name = path.rpartition(".")
        holder = network.get_submodule(owner)
        delattr(holder, name)
        holder.register_buffer(name, values, persistent=False)

    def train(mode: bool = True) -> nn.Module:
        for child in module.children():
            child.train(mode)
        return module

    module.training = False
    module.train = train  # type: ignore[method-assign] # never computes with a batch's own mean
