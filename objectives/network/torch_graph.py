"""Let torch write the ONNX graph of a module in float32, whatever its weights are.

torch's exporter folds and rewrites what it knows: it computes with weights, merges equal ones, and
drops a bias of zeros. A graph that is to hold other weights afterwards must not depend on those
that were exported. So the tensors of the network's state are made inputs of the graph before
anything is optimized: what is not known cannot be folded.
"""

import logging
import warnings
from ast import literal_eval
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import torch
from onnx import ModelProto
from onnx.numpy_helper import to_array
from torch import Tensor, nn

from models.inputs import Given, Inputs, by_name, outputs_of, returned
from objectives.errors import MeasurementError
from objectives.network.graph_inputs import STATE, given_inputs

_SCOPES = "pkg.torch.onnx.name_scopes"
"""The exporter's metadata of a node: the modules that it is in, from outside in, and itself."""


def torch_graph(
    network: nn.Module, example: Given, free: Mapping[str, Collection[int]] = MappingProxyType({})
) -> tuple[ModelProto, dict[str, str], frozenset[str]]:
    """Return the graph of a network.

    Args:
        network: In evaluation mode; it is spoilt.
        example: Two rows, as an axis of size 1 would not stay free.
        free: The axes of each input, by name, whose length may be another, beside the first; those
            that the network's code takes for fixed are not.

    Returns:
        The graph, whose further inputs are the tensors of the network's state that it reads, under
        the names that the state dict has them by; the path of the innermost module that each node
        is in, by the node's first output; and what averages all of the last two of four axes
        gives, written as a ReduceMean.
    """
    from onnxscript import optimizer  # here, as it takes a second

    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        value = returned(network, example.clone())  # which it may change
    given, names = by_name(network, example), list(outputs_of(value))
    arguments = tuple(given.values())
    _require_other_names(network, given, names)
    sizes: Any = tuple(
        {0: torch.export.Dim("N")} | dict.fromkeys(free.get(name, ()), torch.export.Dim.AUTO)
        for name in given
    )
    if isinstance(example, Inputs) or not isinstance(value, Tensor):
        _take_tensors_(network, example, list(given), names)
        sizes = (sizes,)
    settings: dict[str, Any] = {
        "dynamo": True,
        "input_names": list(given),
        "output_names": names,
        "verbose": False,
        "optimize": False,
    }
    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")  # deprecations inside torch and onnxscript
        program = torch.onnx.export(network, arguments, dynamic_shapes=sizes, **settings)
        assert program is not None
        shape = program.model.graph.inputs[0].shape
        if shape is None or isinstance(shape[0], int):
            # Torch took the size of the example where Python's code compares it: read that code.
            read = torch.export.export(network, arguments, dynamic_shapes=sizes, strict=True)
            program = torch.onnx.export(read, (), **settings)
            assert program is not None
        _make_inputs_(program.model.graph, network)
        optimizer.optimize_ir(program.model)
    model: ModelProto = program.model_proto
    modules = {node.output[0]: _module_of(node) for node in model.graph.node}
    pools = frozenset(_pools(model))
    _strip_(model, given)
    found = [value.name for value in (*given_inputs(model.graph), *model.graph.output)]
    if found != [*given, *names]:
        raise MeasurementError(
            f"its inputs and outputs are {', '.join(found)} in ONNX, not "
            f"{', '.join([*given, *names])}: let it return no input as it is."
        )
    return model, modules, pools


def _require_other_names(
    network: nn.Module, given: Mapping[str, Tensor], outputs: Sequence[str]
) -> None:
    """Raise `MeasurementError` where two of inputs, outputs and weights have one name."""
    names = [*given, *outputs, *network.state_dict()]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise MeasurementError(
            f"'{twice[0]}' is the name of two of its inputs, outputs and weights: give one "
            "another name."
        )


def require_free(model: ModelProto, free: Mapping[str, Collection[int]]) -> None:
    """Raise `MeasurementError` unless those axes of its inputs may have any length."""
    for value in given_inputs(model.graph):
        for axis in free.get(value.name, ()):
            size = value.type.tensor_type.shape.dim[axis].dim_value
            if size:
                raise MeasurementError(
                    f"The network's code takes the length of '{value.name}' for a fixed one, "
                    f"{size}, but the data yield others: let them pad all to one length."
                )


def _take_tensors_(
    network: nn.Module, example: Given, names: Sequence[str], outputs: Sequence[str]
) -> None:
    """Let `forward` take tensors by their places and return a tuple of them, in place."""
    plain, by_names = network.forward, isinstance(example, Inputs) and example.names

    def forward(*tensors: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(names, tensors, strict=True))
        found = outputs_of(plain(**named) if by_names else plain(*tensors))
        return tuple(found[name] for name in outputs)

    vars(network)["forward"] = forward


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


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep all loggers from writing within the block: what goes wrong is raised, too."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _strip_(model: ModelProto, given: Mapping[str, Tensor]) -> None:
    """Remove, in place, what no runtime reads: metadata, texts, node names, inner shapes."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for value in graph.input:
        if value.name not in given:
            value.doc_string = STATE
    lengths: dict[str, str] = {}
    for value in (*graph.input, *graph.output):
        for dim in value.type.tensor_type.shape.dim[1:]:
            if dim.dim_param:
                count = f"_{len(lengths) + 1}" if lengths else ""
                dim.dim_param = lengths.setdefault(dim.dim_param, f"length{count}")
    for node in graph.node:
        node.ClearField("name")
    graph.ClearField("value_info")
    graph.ClearField("name")
    graph.name = "g"  # the checker wants one
    model.ClearField("producer_name")
    model.ClearField("producer_version")
