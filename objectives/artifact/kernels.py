"""On what ONNX Runtime computes a file's layers, read off its graph."""

from typing import Literal

from onnx import NodeProto, TensorProto

from objectives.network.value_graph import ValueGraph

Kernel = Literal["integers", "floats", "floats, unpacked each time"]

KERNEL_TYPES = {TensorProto.INT8, TensorProto.UINT8}
"""What integer kernels read."""


def kernel_of(node: NodeProto, graph: ValueGraph) -> Kernel:
    """Return what a layer, the `node` of a graph, is computed on.

    Weights that a DequantizeLinear widens for floats are unpacked at each inference; what else
    widens them is done once, when the file is opened.
    """
    weight = _dequantized(node.input[1], graph)
    if weight is None:
        return "floats"
    given = _dequantized(node.input[0], graph)
    if given is None or not {weight, given} <= KERNEL_TYPES:
        return "floats, unpacked each time"
    is_quantized = any(
        reader.op_type == "QuantizeLinear"
        for name in graph.given_on(node.output[0])
        for reader in graph.readers(name)
    )
    return "integers" if is_quantized or node.op_type != "Conv" else "floats, unpacked each time"


def _dequantized(name: str, graph: ValueGraph) -> int | None:
    """Return the integer type that a value was read as, where it was one."""
    node = graph.producers.get(name)
    while node is not None and node.op_type == "Transpose":
        node = graph.producers.get(node.input[0])
    if node is None or node.op_type != "DequantizeLinear" or len(node.input) < 3:
        return None
    return int(graph.constants[node.input[2]].data_type)
