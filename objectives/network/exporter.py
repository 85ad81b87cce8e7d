"""The graphs of networks, each exported once in a process.

A graph does not depend on the weights that it was exported with, so it serves every network of the
same structure, and the files of all trials differ in nothing but what their plans say.
"""

import hashlib
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import torch
from onnx import ModelProto
from torch import Tensor, nn

from models.inputs import Given, by_name, free_axes, returned, tensors_of
from objectives.errors import MeasurementError
from objectives.network.graph_inputs import state_inputs
from objectives.network.torch_graph import require_free, torch_graph

LOOKED_FOR_SECONDS = 20
"""So long is the layer looked for that cannot be exported."""

MOST_KEPT = 16
"""Graphs that are kept in memory; they hold no weights."""

Value = TypeVar("Value")

_KEPT: dict[Hashable, "Exported"] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The graph of a network: its inputs, N free, its outputs, the answer first."""

    content: bytes
    """A serialized ModelProto, whose further inputs are the tensors of the network's state that it
    reads, under the names that the state dict has them by."""
    modules: Mapping[str, str]
    """The path of the innermost module that each node is in, by the node's first output."""
    pools: frozenset[str] = frozenset()
    """What averages all of the last two of four axes gives, written as a ReduceMean."""

    def model(self) -> ModelProto:
        """Return the graph as a model of its own, to edit."""
        copied: ModelProto = ModelProto.FromString(self.content)
        return copied

    def digest(self) -> str:
        """Return a hash of what is computed, equal in each process."""
        graph = self.model().graph
        digest = hashlib.sha256()
        for part in (*graph.node, *graph.initializer):
            digest.update(part.SerializeToString(deterministic=True))
        return digest.hexdigest()

    def tensors(self) -> list[str]:
        """Return the names of the tensors of the network's state that the graph reads."""
        return [value.name for value in state_inputs(self.model().graph)]


def exported(
    key: Hashable,
    make: Callable[[], nn.Module],
    example: Given,
    *,
    varying: Sequence[frozenset[int]] = (),
    anew: bool = False,
) -> Exported:
    """Return the graph of a network.

    Args:
        key: What decides the graph: what has built the network, and the shapes of its state.
        make: Returns the network, in evaluation mode; its weights do not matter.
        example: Two inputs, as an axis of size 1 would not stay free.
        varying: The axes of each tensor, beside the first, that must have any length, as the
            data's differ.
        anew: Whether it is exported also if one with this key was before.

    Raises:
        MeasurementError: The network cannot be exported; the text names the layer.
    """
    if anew or key not in _KEPT:
        network = make()
        names = {id(each): name for name, each in by_name(network, example).items()}

        def named(axes: Sequence[frozenset[int]]) -> dict[str, frozenset[int]]:
            pairs = zip(tensors_of(example), axes, strict=False)
            return {names[id(each)]: found for each, found in pairs if id(each) in names}

        try:
            free = named(free_axes(example, varying))
            model, modules, pools = torch_graph(network, example, free)
        except Exception as err:
            layer = _layer_that_fails(make(), example)
            raise MeasurementError(
                f"The network cannot be exported to ONNX: {layer}: {_reason(err)}"
            ) from err
        require_free(model, named(varying))
        content = model.SerializeToString()
        keep(_KEPT, key, Exported(content=content, modules=modules, pools=pools))
    return _KEPT[key]


def keep(kept: dict[Hashable, Value], key: Hashable, value: Value) -> None:
    """Put `value` among the `MOST_KEPT` latest of `kept`."""
    if len(kept) >= MOST_KEPT:
        del kept[next(iter(kept))]
    kept[key] = value


def _layer_that_fails(network: nn.Module, example: Given) -> str:
    """Return the name and kind of the first innermost module that cannot be exported by itself."""
    taken: dict[str, tuple[object, ...]] = {}
    hooks = [
        module.register_forward_pre_hook(lambda _, args, name=name: taken.setdefault(name, args))
        for name, module in network.named_modules()
        if name and not list(module.children())
    ]
    with torch.no_grad(), suppress(Exception):  # a network that cannot take the inputs at all
        returned(network, example.clone())
    for hook in hooks:
        hook.remove()
    began = time.monotonic()
    for name, inputs in taken.items():
        if time.monotonic() - began > LOOKED_FOR_SECONDS:
            break
        module = network.get_submodule(name)
        given = inputs[0] if len(inputs) == 1 else None
        if isinstance(given, Tensor) and given.dim() and len(given) == len(example):
            try:
                torch_graph(module, given)
            except Exception:
                return f"layer '{name}' ({type(module).__name__})"
    return f"its own forward pass ({type(network).__name__})"


def _reason(err: BaseException) -> str:
    """Return the innermost cause in a line."""
    while err.__cause__ is not None:
        err = err.__cause__
    if "Constraints violated" in str(err):
        return "its code takes the number of inputs in a batch for a fixed one"
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    return f"{type(err).__name__}: {lines[0] if lines else ''}"
