"""Which weights of a network can be compressed, and who computes with them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import Tensor, nn

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Embedding)
"""Modules whose `weight` is compressed."""

PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
"""The weights that an `nn.MultiheadAttention` has itself, beside its layer `out_proj`."""

ALL_LAYERS = ("*",)


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A weight that is compressed, its bias, and the modules that hold it.

    The weight has shape (C_out, ...), an embedding's (entries, ...). The bias is never pruned.
    """

    weight_name: str
    """As the state dict has it: "features.0.weight"."""
    bias_name: str | None
    """As the state dict would have it, also where there is no bias; None if it cannot have one."""
    holders: tuple[tuple[nn.Module, str], ...]
    """Modules with this weight, and its name in each; the first one's is the layer's own. Several
    hold a weight that is tied, as of an embedding and the output layer."""
    paths: tuple[str, ...]
    """The names that the first of these modules has in the network, more than one if shared."""

    @property
    def module(self) -> nn.Module:
        """The module that computes with the weight."""
        return self.holders[0][0]

    @property
    def weight(self) -> nn.Parameter:
        """The weight itself, also where computing reads something else in its place."""
        module, name = self.holders[0]
        return dict(module.named_parameters(recurse=False))[name]

    @property
    def bias(self) -> nn.Parameter | None:
        """The bias, not a copy, if there is one."""
        if self.bias_name is None:
            return None
        own = dict(self.module.named_parameters(recurse=False))
        return own.get(self.bias_name.rpartition(".")[2])

    @property
    def is_tied(self) -> bool:
        """Whether further modules compute with the weight."""
        return len(self.holders) > 1


def compressible_layers(
    network: nn.Module, patterns: Sequence[str] = ALL_LAYERS
) -> dict[str, Layer]:
    """Return the layers of `network` by name, in module order.

    A layer is named as its module, "features.0"; an attention's projection "attention.in_proj".
    A module that the network holds twice, and a weight that several modules share, counts once,
    under its first name.

    Args:
        network: Any module. A weight that is computed from others (weight norm) is none of these.
        patterns: Shell patterns such as "features.*"; a layer counts if one matches its name.
    """
    names = {parameter: name for name, parameter in network.named_parameters()}
    paths: dict[nn.Module, list[str]] = {}
    for path, module in network.named_modules(remove_duplicate=False):
        paths.setdefault(module, []).append(path)
    own = {module: dict(module.named_parameters(recurse=False)) for module in paths}
    holders: dict[Tensor, list[tuple[nn.Module, str]]] = {}
    for module, parameters in own.items():
        for name, parameter in parameters.items():
            holders.setdefault(parameter, []).append((module, name))
    layers: dict[str, Layer] = {}
    seen: set[Tensor] = set()
    for module, parameters in own.items():
        path = paths[module][0]
        for suffix, weight, bias in _weights_of(module):
            if weight not in parameters or parameters[weight] in seen:
                continue
            parameter = parameters[weight]
            seen.add(parameter)
            name = ".".join(part for part in (path, suffix) if part) or weight
            bias_name = None if bias is None else ".".join(part for part in (path, bias) if part)
            if bias is not None and bias in parameters:
                bias_name = names[parameters[bias]]
            others = [each for each in holders[parameter] if each[0] is not module]
            if any(fnmatchcase(name, pattern) for pattern in patterns):
                layers[name] = Layer(
                    weight_name=names[parameter],
                    bias_name=bias_name,
                    holders=((module, weight), *others),
                    paths=tuple(paths[module]),
                )
    return layers


def _weights_of(module: nn.Module) -> Iterator[tuple[str, str, str | None]]:
    """Yield what each weight adds to the name of `module`, its own name, and its bias's."""
    if isinstance(module, LAYERS):
        yield "", "weight", "bias"
    elif isinstance(module, nn.MultiheadAttention):
        for weight in PROJECTIONS:
            bias = "in_proj_bias" if weight == "in_proj_weight" else None
            yield weight.removesuffix("_weight"), weight, bias
