"""Let a network read something else in the place of a weight, as while it is fine-tuned quantized.

Wherever the weight is read, in its layer, in others that it is tied to, or in the network's own
forward pass, a function of it is read instead. The weight itself stays where it is, under its
name: a user's optimizer that groups parameters by name finds what it knows, and nothing new.
`torch.nn.utils.parametrize` renames the weight, and does not see who else holds it.
"""

from collections.abc import Iterator

from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from models.layers import Layer
from objectives.network.calls import unseen

_FUNCTIONS = "_read_instead"
"""Attribute of a module: what is read in the place of its parameters, by name."""
_CLASS = "_plain_class"
"""Attribute of a module of which something is read instead: its class without that."""


def substitute_(layer: Layer, function: nn.Module) -> None:
    """Let whoever reads the weight of `layer` read `function` of it, in place.

    Parameters of `function` are trained, too, by `Learning`.
    """
    for module, name in layer.holders:
        module.__dict__.setdefault(_CLASS, type(module))
        module.__dict__.setdefault(_FUNCTIONS, {})[name] = function
        module.__class__ = _reading_instead(type(module), name)


def substituted(layer: Layer) -> Tensor:
    """Return what is read in the place of the weight, detached."""
    module, name = layer.holders[0]
    read: Tensor = getattr(module, name)
    return read.detach()


def substitute_for_good_(layer: Layer) -> None:
    """Write what is read into the weight, in place, which is then read itself again."""
    layer.weight.data = substituted(layer).clone()
    for module, name in layer.holders:
        del module.__dict__[_FUNCTIONS][name]
        if not module.__dict__[_FUNCTIONS]:
            module.__class__ = module.__dict__.pop(_CLASS)


def _reading_instead(kind: type[nn.Module], name: str) -> type[nn.Module]:
    """Return `kind`, whose parameter `name` is read through its function, if it has one."""

    def read(module: nn.Module) -> Tensor | None:
        parameter = module._parameters[name]
        function = module.__dict__[_FUNCTIONS].get(name)
        if function is None:
            return parameter
        with unseen():
            found: Tensor = function(parameter)
        return found

    return type(kind.__name__, (kind,), {name: property(read), "__module__": kind.__module__})


def _functions(network: nn.Module) -> Iterator[nn.Module]:
    """Yield each once what is read in the place of weights of `network`."""
    seen: set[nn.Module] = set()
    for module in network.modules():
        for function in module.__dict__.get(_FUNCTIONS, {}).values():
            if function not in seen:
                seen.add(function)
                yield function


class Learning(Callback):
    """Trains the parameters of what `network` reads in the place of its weights."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bring them to the device, and give them to the optimizer, where nothing decays them."""
        functions = [each.to(pl_module.device) for each in _functions(self._network)]
        learned = [
            parameter
            for function in functions
            for parameter in function.parameters()
            if parameter.requires_grad
        ]
        groups = trainer.optimizers[0].param_groups
        group = min(groups, key=lambda each: each.get("weight_decay", 0))
        group["params"].extend(learned)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bring them back to the CPU."""
        for function in _functions(self._network):
            function.cpu()
