"""Let torch write the ONNX graph of a network in float32, whatever its weights are.

torch's exporter folds and rewrites what it knows: it computes with weights, merges equal ones, and
drops a bias of zeros. A graph that is to hold other weights afterwards must not depend on those
that were exported. So the tensors of the network's state are made inputs of the graph before
anything is optimized: what is not known cannot be folded. The graph then serves every network of
the same structure, so that one is exported once in a process, and the files of all trials differ
in nothing but what their plans say.
"""

import hashlib
import logging
import warnings
from ast import literal_eval
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from onnx import ModelProto
from onnx.numpy_helper import to_array
from torch import Tensor, nn

from objectives.errors import MeasurementError

INPUT_NAME = "input"
OUTPUT_NAME = "logits"

MOST_KEPT = 16
"""Graphs that are kept in memory; they hold no weights."""

_SCOPES = "pkg.torch.onnx.name_scopes"
"""The exporter's metadata of a node: the modules that it is in, from outside in, and itself."""

Value = TypeVar("Value")

_KEPT: dict[Hashable, "Exported"] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The graph of a network: input `input`, N free, output `logits`."""

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
        return [value.name for value in self.model().graph.input if value.name != INPUT_NAME]


def exported(
    key: Hashable, make: Callable[[], nn.Module], example: Tensor, *, anew: bool = False
) -> Exported:
    """Return the graph of a network.

    Args:
        key: What decides the graph: what has built the network, and the shapes of its state.
        make: Returns the network, in evaluation mode; its weights do not matter.
        example: Two inputs, as an axis of size 1 would not stay free.
        anew: Whether it is exported also if one with this key was before.

    Raises:
        MeasurementError: The network cannot be exported; the text names the layer.
    """
    if anew or key not in _KEPT:
        network = make()
        try:
            graph = _exported(network, example)
        except Exception as err:
            layer = _layer_that_fails(network, example)
            raise MeasurementError(
                f"The network cannot be exported to ONNX: {layer}: {_reason(err)}"
            ) from err
        keep(_KEPT, key, graph)
    return _KEPT[key]


def keep(kept: dict[Hashable, Value], key: Hashable, value: Value) -> None:
    """Put `value` among the `MOST_KEPT` latest of `kept`."""
    if len(kept) >= MOST_KEPT:
        del kept[next(iter(kept))]
    kept[key] = value


def _exported(network: nn.Module, example: Tensor) -> Exported:
    from onnxscript import optimizer  # here, as it takes a second

    sizes = ({0: torch.export.Dim("N")},)
    settings: dict[str, Any] = {
        "dynamo": True,
        "input_names": [INPUT_NAME],
        "output_names": [OUTPUT_NAME],
        "verbose": False,
        "optimize": False,
    }
    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")  # deprecations inside torch and onnxscript
        program = torch.onnx.export(network, (example,), dynamic_shapes=sizes, **settings)
        assert program is not None
        shape = program.model.graph.inputs[0].shape
        if shape is None or isinstance(shape[0], int):
            # Torch took the size of the example where Python's code compares it: read that code.
            read = torch.export.export(network, (example,), dynamic_shapes=sizes, strict=True)
            program = torch.onnx.export(read, (), **settings)
            assert program is not None
        _make_inputs_(program.model.graph, network)
        optimizer.optimize_ir(program.model)
    model: ModelProto = program.model_proto
    modules = {node.output[0]: _module_of(node) for node in model.graph.node}
    pools = frozenset(_pools(model))
    _strip_(model)
    return Exported(content=model.SerializeToString(), modules=modules, pools=pools)


def _make_inputs_(graph: Any, network: nn.Module) -> None:  # noqa: ANN401 - onnxscript's
    """Turn the tensors of the network's state into inputs of `graph`, in place.

    One that has several names, as a tied weight has, is named by the first.
    """
    first_names: dict[Tensor, str] = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        first = first_names.setdefault(tensor, name)
        value = graph.initializers.pop(name, None)
        if value is not None:
            value.const_value = None
            value.name = first
            graph.inputs.append(value)


def _module_of(node: Any) -> str:  # noqa: ANN401 - a NodeProto
    """Return the path of the innermost module that `node` is in; "" for the network itself."""
    told = {each.key: each.value for each in node.metadata_props}
    scopes = literal_eval(told.get(_SCOPES, "[]"))
    path: str = scopes[-2] if len(scopes) > 1 else ""
    return path.partition("@")[0]  # of a module's second call


def _pools(model: ModelProto) -> Iterator[str]:
    """Yield what is given by each ReduceMean over the last two of four axes."""
    graph = model.graph
    four = {
        value.name
        for value in (*graph.value_info, *graph.input)
        if len(value.type.tensor_type.shape.dim) == 4
    }
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "ReduceMean" and node.input[0] in four:
            axes = constants.get("".join(node.input[1:2]))
            if axes is not None and {int(each) % 4 for each in to_array(axes)} == {2, 3}:
                yield node.output[0]


def _layer_that_fails(network: nn.Module, example: Tensor) -> str:
    """Return the name and kind of the first innermost module that cannot be exported by itself."""
    taken: dict[str, tuple[object, ...]] = {}
    hooks = [
        module.register_forward_pre_hook(lambda _, args, name=name: taken.setdefault(name, args))
        for name, module in network.named_modules()
        if name and not list(module.children())
    ]
    with torch.no_grad(), suppress(Exception):  # a network that cannot take the inputs at all
        network(example.clone())
    for hook in hooks:
        hook.remove()
    for name, inputs in taken.items():
        module = network.get_submodule(name)
        given = inputs[0] if len(inputs) == 1 else None
        if isinstance(given, Tensor) and given.shape[:1] == example.shape[:1]:
            try:
                _exported(module, given)
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


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep all loggers from writing within the block: what goes wrong is raised, too."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _strip_(model: ModelProto) -> None:
    """Remove, in place, what no runtime reads: metadata, texts, node names, inner shapes."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for node in graph.node:
        node.ClearField("name")
    graph.ClearField("value_info")
    graph.ClearField("name")
    graph.name = "g"  # the checker wants one
    model.ClearField("producer_name")
    model.ClearField("producer_version")
