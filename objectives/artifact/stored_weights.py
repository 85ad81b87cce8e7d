"""Find, in an ONNX graph, what stands behind a layer's weight: the tensor that the file stores."""

from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, numpy_helper

WEIGHT_POSITION = {"Conv": 1, "Gemm": 1, "MatMul": 1, "Gather": 0}
"""Which input of a node is a layer's weight."""
WIDENING = {"Cast", "DequantizeLinear", "Gather", "Reshape", "Transpose"}
"""What a stored weight may stand behind."""
UNPACKING = {"Sub": "_zero", "Mul": "_scale"}
"""What it may, too, by how the name of the other number ends."""

CODEBOOK = "_codebook"
"""Ends the name of the tensor that codes name the entries of."""


@dataclass(frozen=True, slots=True)
class StoredWeight:
    """A weight as it is in the file."""

    tensor: TensorProto
    """Floats, integers or codes."""
    zero_point: TensorProto | None
    """Of integers, what stands for 0."""
    codebook: TensorProto | None
    """Of codes, the entries that they name."""

    def numbers(self) -> np.ndarray:
        """Return the weights but for their scales, so that what stands for 0 is 0.

        Floats or integers, shaped as the file stores them; entries of a codebook that are blocks
        lie along a last axis.
        """
        values = numpy_helper.to_array(self.tensor)
        if self.codebook is not None:
            return numpy_helper.to_array(self.codebook)[values.astype(np.int64)]
        if self.zero_point is None:
            return values
        zero = numpy_helper.to_array(self.zero_point)
        if zero.ndim > 0:
            zero = zero.reshape(-1, *[1] * (values.ndim - 1))
        return values.astype(np.int32) - zero.astype(np.int32)


class StoredWeights:
    """The weights that the nodes of `graph` compute with."""

    def __init__(self, graph: GraphProto) -> None:
        self.producers = {output: node for node in graph.node for output in node.output}
        """Which node gives a value, by the value's name."""
        self.initializers = {tensor.name: tensor for tensor in graph.initializer}

    def weight_of(self, node: NodeProto) -> StoredWeight | None:
        """Return what a layer computes with; None where `node` is no layer or has no weight."""
        if node.op_type not in WEIGHT_POSITION or self._is_lookup(node):
            return None
        name = node.input[WEIGHT_POSITION[node.op_type]]
        zero_point = codebook = None
        while (before := self.producers.get(name)) is not None and _is_widening(before):
            name = before.input[0]
            if before.op_type == "DequantizeLinear":
                zero_point = self.initializers.get("".join(before.input[2:3]))
            if before.op_type == "Sub":
                zero_point = self.initializers[before.input[1]]
            if before.op_type == "Gather":
                if not self._is_lookup(before):
                    return None
                codebook, name = self.initializers[name], before.input[1]
        tensor = self.initializers.get(name)
        return None if tensor is None else StoredWeight(tensor, zero_point, codebook)

    def _is_lookup(self, node: NodeProto) -> bool:
        """Return whether `node` reads weights from a codebook, by codes that are in the file."""
        return node.op_type == "Gather" and node.input[0].endswith(CODEBOOK)


def _is_widening(node: NodeProto) -> bool:
    ending = UNPACKING.get(node.op_type)
    if ending is not None:
        return str(node.input[1]).endswith(ending)
    return str(node.op_type) in WIDENING
