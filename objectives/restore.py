"""Read a network's weights back out of its ONNX file, as float32: what the file computes with."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import Tensor

from objectives.context import Context
from objectives.errors import MeasurementError
from objectives.fold import fold_batch_norms_, unfolded
from objectives.structure import fit_shapes_, split_layers_


def restore_weights(model: ModelProto, context: Context) -> dict[str, Tensor]:
    """Return a state dict of the context's network with the weights that `model` stores.

    Where a plan has removed channels or split layers, it is that of the network with this
    structure, as `objectives.structure` gives it. Folded batch norms become such as change
    nothing. A network with these weights answers as the file does, but for the rounding of the
    layers' inputs in a file of integers.

    Args:
        model: As `objectives.stages.export` writes it.
        context: With the network that it was made of.

    Raises:
        MeasurementError: The file does not hold a weight of the network under its name.
    """
    stored = _stored_weights(model)
    tensors = {
        name: torch.from_numpy(values.astype(np.float32)) for name, values in stored.items()
    }
    network, folded = context.build_network(), context.build_network()
    for each in (network, folded):
        split_layers_(each, tensors)
    fold_batch_norms_(folded)
    fit_shapes_(folded, tensors)
    weights = {}
    for name, fresh in folded.state_dict().items():
        if name.endswith("num_batches_tracked"):  # no answer depends on it
            weights[name] = fresh
            continue
        values = tensors.get(name)
        if values is None or values.shape != fresh.shape:
            raise MeasurementError(f"The file holds no weight '{name}' of the network.")
        weights[name] = values.to(fresh.dtype)
    return unfolded(weights, network)


def _stored_weights(model: ModelProto) -> dict[str, np.ndarray]:
    """Return what readers of each initializer are given, by the initializer's name.

    `GraphEditor` widens an initializer NAME to NAME_f. The exporter makes one of equal biases and
    drops one of zeros: then it is the layer's node that tells.
    """
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    widened = _widened(model)
    stored = {name: widened.get(f"{name}_f", value) for name, value in values.items()}
    for node in model.graph.node:
        if node.op_type in {"Conv", "Gemm"}:
            weight, *bias = (name.removesuffix("_f") for name in node.input[1:])
            name = weight.removesuffix(".weight") + ".bias"
            if not bias and weight in stored:
                stored.setdefault(name, np.zeros(len(stored[weight])))
            elif bias and bias[0] in stored:
                stored.setdefault(name, stored[bias[0]])
    return stored


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
