"""Read a network's weights back out of its ONNX file, as float32: what the file computes with."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import Tensor

from objectives.context import Context
from objectives.errors import MeasurementError
from objectives.network.state import NetworkState


def restore_weights(model: ModelProto, context: Context) -> dict[str, Tensor]:
    """Return a state dict of the context's network with the weights that `model` stores.

    Where a plan has removed channels or split layers, it is that of the network with this
    structure, as `objectives.network.structure` gives it. Folded batch norms become such as change
    nothing. What `forward` does not read is not in the file: it is as in a new network. A network
    with these weights answers as the file does, but for the rounding of what is between layers in
    a file of integers.

    Args:
        model: As `objectives.artifact.export` writes it.
        context: With the network that it was made of.

    Raises:
        MeasurementError: The file does not hold a weight of the network under its name.
    """
    tensors = _stored_tensors(model)
    norms = context.norms(tensors)
    folded = bool(norms) and norms[0].mean not in tensors
    if folded:
        _require(
            tensors, [f"{norm.layer}.{name}" for norm in norms for name in ("weight", "bias")]
        )
    stored = context.unfold(NetworkState(weights=tensors, folded=folded))
    first_names: dict[Tensor, str] = {}
    weights = {}
    for name, fresh in context.shaped(stored).state_dict(keep_vars=True).items():
        if context.reads(name):
            _require(stored, [name])
        values = stored.get(first_names.setdefault(fresh, name))  # a tied weight is stored once
        weights[name] = fresh.detach() if values is None else values.to(fresh.dtype)
    return weights


def _require(tensors: Mapping[str, Tensor], names: Sequence[str]) -> None:
    """Raise `MeasurementError` unless all `names` are among the `tensors` of the file."""
    for name in names:
        if name not in tensors:
            raise MeasurementError(f"The file holds no weight '{name}' of the network.")


def _stored_tensors(model: ModelProto) -> dict[str, Tensor]:
    """Return what readers of each initializer are given, by the initializer's name.

    `GraphEditor` widens an initializer NAME to NAME_f.
    """
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    widened = _widened(model)
    return {
        name: torch.from_numpy(np.array(widened.get(f"{name}_f", value), dtype=np.float32))
        for name, value in values.items()
    }


def _widened(model: ModelProto) -> Mapping[str, np.ndarray]:
    """Return what the nodes that read nothing but initializers give, where it ends in _f."""
    known = {tensor.name for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        if node.input and known.issuperset(node.input):
            nodes.append(node)
            known.update(node.output)
    names = [name for node in nodes for name in node.output if name.endswith("_f")]
    if not names:
        return {}
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    read = {name for node in nodes for name in node.input}
    initializers = [tensor for tensor in model.graph.initializer if tensor.name in read]
    graph = helper.make_graph(nodes, "stored", [], outputs, initializers)
    settings: dict[str, Any] = {
        "opset_imports": model.opset_import,
        "ir_version": model.ir_version,
    }
    session = onnxruntime.InferenceSession(
        helper.make_model(graph, **settings).SerializeToString(),
        providers=["CPUExecutionProvider"],
    )
    return dict(zip(names, session.run(names, {}), strict=True))
