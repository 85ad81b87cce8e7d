"""Export: write the file that would be shipped, an ONNX graph in the formats of its layers.

The file has one input `input`, float32 (N, C, H, W) with pixels / 255, N free, and one output
`logits`, float32 (N, classes). Everything in it that no runtime reads is stripped: the exporter's
metadata alone is 2 KB after gzip, as much as a whole CNN at 99 % sparsity.

- float16 layers: weight and bias are stored as float16, a Cast widens them when they are loaded.
- integer layers: QuantizeLinear/DequantizeLinear pairs (QDQ) around the layer's input and a
  DequantizeLinear behind its int8 weight and int32 bias. Runtimes fuse such groups to integer
  kernels; ONNX Runtime does so only where the weight's zero point is given and the bias is int32.
"""

import warnings

import numpy as np
import onnx
import torch
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper
from torch import Tensor

from objectives.context import Context
from objectives.errors import MeasurementError
from objectives.state import LayerFormat, NetworkState

INPUT_NAME = "input"
OUTPUT_NAME = "logits"


def export_onnx(state: NetworkState, context: Context) -> bytes:
    """Return the artifact: the same bytes for the same state.

    Raises:
        MeasurementError: A layer has a format that cannot be stored.
    """
    network = state.load_into(context.build_network()).eval()
    model = _float_model(network, context.data.input_shape)
    strip_(model)
    graph = _GraphEditor(model.graph)
    for layer, stored in state.formats.items():
        if stored.weight_scale is None:
            graph.store_as_float16(layer)
        else:
            graph.store_as_integers(layer, stored)
    if any(stored.weight_scale is not None for stored in state.formats.values()):
        graph.swap_pool_and_relu()
    graph.finish()
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _float_model(network: torch.nn.Module, input_shape: tuple[int, int, int]) -> ModelProto:
    example = torch.zeros(2, *input_shape)  # an axis of size 1 would not stay free
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside torch and onnxscript
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_shapes=({0: torch.export.Dim("N")},),
            verbose=False,
        )
    assert program is not None
    model: ModelProto = program.model_proto
    return model


def strip_(model: ModelProto) -> None:
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


class _GraphEditor:
    """Puts the formats of layers into a float graph; nodes stay in topological order."""

    def __init__(self, graph: GraphProto) -> None:
        self._graph = graph
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        self._before: dict[
            str, list[NodeProto]
        ] = {}  # new nodes, by an output of the node they precede

    def store_as_float16(self, layer: str) -> None:
        """Store weight and bias of `layer` as float16 behind a Cast."""
        node = self._node_of(layer)
        for position in range(1, len(node.input)):
            name = node.input[position]
            values = numpy_helper.to_array(self._initializers[name])
            self._replace(name, values.astype(np.float16))
            node.input[position] = f"{name}_f"
            self._insert(
                node,
                helper.make_node("Cast", [name], [f"{name}_f"], to=onnx.TensorProto.FLOAT),
            )

    def store_as_integers(self, layer: str, stored: LayerFormat) -> None:
        """Store `layer` in QDQ form; see the module."""
        node = self._node_of(layer)
        if stored.weight_scale is None or stored.input_scale is None or stored.bits != 8:
            raise MeasurementError(f"Layer '{layer}' has a format that no file stores: {stored}.")
        weight_scale, input_scale = _numpy(stored.weight_scale), _numpy(stored.input_scale)
        self._quantize_input(node, layer, input_scale, _numpy(stored.input_zero_point))
        self._dequantize(node, 1, weight_scale, np.int8)
        if len(node.input) > 2:
            self._dequantize(node, 2, weight_scale * input_scale, np.int32)

    def swap_pool_and_relu(self) -> None:
        """Turn MaxPool -> Relu into Relu -> MaxPool, which is equal.

        ONNX Runtime moves a QuantizeLinear up through MaxPool and into Relu, but not past Relu;
        only in this order does it reach the convolution and make it an integer one.
        """
        readers: dict[str, list[NodeProto]] = {}
        for node in self._graph.node:
            for name in node.input:
                readers.setdefault(name, []).append(node)
        for pool in self._graph.node:
            if pool.op_type != "MaxPool" or len(readers[pool.output[0]]) != 1:
                continue
            relu = readers[pool.output[0]][0]
            if relu.op_type == "Relu":
                attributes = list(pool.attribute)
                pool.ClearField("attribute")
                pool.op_type, relu.op_type = "Relu", "MaxPool"
                relu.attribute.extend(attributes)

    def finish(self) -> None:
        """Write the edited nodes into the graph."""
        nodes = []
        for node in self._graph.node:
            nodes += self._before.get(node.output[0], [])
            nodes.append(node)
        copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
        self._graph.ClearField("node")
        self._graph.node.extend(copies)

    def _node_of(self, layer: str) -> NodeProto:
        """Return the node that computes `layer`: it reads the layer's weight."""
        node: NodeProto
        for node in self._graph.node:
            if f"{layer}.weight" in node.input:
                if node.op_type == "Conv" or (node.op_type == "Gemm" and _trans_b(node)):
                    return node
                raise MeasurementError(f"Layer '{layer}' became a {node.op_type} node.")
        raise MeasurementError(f"The exported graph has no weight of layer '{layer}'.")

    def _quantize_input(
        self, node: NodeProto, layer: str, scale: np.ndarray, zero_point: np.ndarray
    ) -> None:
        names = [f"{layer}.in_scale", f"{layer}.in_zero"]
        self._add(names[0], scale)
        self._add(names[1], zero_point)
        integers, floats = f"{layer}.in_q", f"{layer}.in"
        self._insert(node, helper.make_node("QuantizeLinear", [node.input[0], *names], [integers]))
        self._insert(node, helper.make_node("DequantizeLinear", [integers, *names], [floats]))
        node.input[0] = floats

    def _dequantize(
        self, node: NodeProto, position: int, scale: np.ndarray, dtype: type[np.signedinteger]
    ) -> None:
        """Store the float initializer at `position` as integers, one scale per slice of axis 0."""
        name = node.input[position]
        values = numpy_helper.to_array(self._initializers[name])
        broadcast = scale.reshape(-1, *[1] * (values.ndim - 1))
        self._replace(name, np.rint(values / broadcast).astype(dtype))
        names = [name, f"{name}_scale", f"{name}_zero"]
        self._add(names[1], scale)
        self._add(names[2], np.zeros(len(scale), dtype))
        self._insert(node, helper.make_node("DequantizeLinear", names, [f"{name}_f"], axis=0))
        node.input[position] = f"{name}_f"

    def _insert(self, node: NodeProto, new: NodeProto) -> None:
        self._before.setdefault(node.output[0], []).append(new)

    def _add(self, name: str, values: np.ndarray) -> None:
        self._graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))

    def _replace(self, name: str, values: np.ndarray) -> None:
        self._initializers[name].CopyFrom(numpy_helper.from_array(values, name))


def _trans_b(node: NodeProto) -> bool:
    return any(attribute.name == "transB" and attribute.i == 1 for attribute in node.attribute)


def _numpy(tensor: Tensor | None) -> np.ndarray:
    assert tensor is not None
    return tensor.numpy()
