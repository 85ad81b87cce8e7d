"""Estimate the energy of one inference, from what an ONNX graph computes and reads.

This is a model of a simple accelerator, not a measurement: nobody's chip takes exactly that. It
serves to compare files of one network with one another.

Notation, for each layer (MatMul, Gemm, Conv) and a batch of one: m its multiplications, o its
outputs, b_w and b_x the bits that a weight and an input are stored as; S the bits of all stored
tensors that are read. Then, in pJ,

    E = sum of m (multiply + add + 5 (b_w + b_x) / 32) + 5 o,  and  640 S / 32 once

- Weights come once from DRAM, as the file stores them; of an embedding only the rows asked for,
  but all scales.
- Each multiplication reads weight and input from a small SRAM (8 KB); each output, of 32 bits, is
  written there once. A weight that is a code is read as one, and then its entry of the codebook.
- Integers are multiplied where weight and input both are (QDQ form), and added up in 32 bits.
  Else the graph computes in floats, also where weights are stored as fewer bits; a power of two
  or a sign is multiplied with like any other float.
- Nothing is skipped for zeros: ONNX Runtime multiplies with them, and the file holds them.
- Activations, pooling, normalization and whatever else has no weights or products count nothing.

Source of the constants: Horowitz 2014, "Computing's Energy Problem", ISSCC, Fig. 1.1.9: 45 nm,
0.9 V. It has integers of 8 and 32 bits; the energy of multiplying others is put on the power law
through these two,

    multiply(b_w, b_x) = 0.2 (b / 8)^1.98,   b = sqrt(b_w b_x)

nearly quadratic, as the area of a multiplier is.
"""

import math

from onnx import ModelProto, NodeProto, TensorProto, shape_inference

from objectives.container.payloads import ELEMENTS
from objectives.stored_weights import StoredWeight, StoredWeights

MULTIPLY_ADD_PJ: dict[int, float] = {TensorProto.FLOAT: 3.7 + 0.9, TensorProto.FLOAT16: 1.1 + 0.4}
"""Of floats, by their type."""
INT8_MULTIPLY_PJ, INT32_MULTIPLY_PJ, INT32_ADD_PJ = 0.2, 3.1, 0.1
INTEGER_EXPONENT = math.log(INT32_MULTIPLY_PJ / INT8_MULTIPLY_PJ, 32 / 8)
SRAM_PJ, DRAM_PJ = 5.0, 640.0
"""Of reading or writing 32 bits."""

PRODUCTS = {"MatMul", "Gemm", "Conv"}
MOST_CONSTANT_BYTES = 1024
"""Larger tensors are weights, whose values decide no shape."""


class _UnknownShapeError(Exception):
    """Shape inference does not tell how large a value is; it never leaves this module."""


def integer_multiply_pj(weight_bits: float, input_bits: float) -> float:
    """Return the energy of multiplying two integers, pJ."""
    bits = math.sqrt(weight_bits * input_bits)
    return float(INT8_MULTIPLY_PJ * (bits / 8) ** INTEGER_EXPONENT)


def estimate_energy_uj(model: ModelProto) -> float | None:
    """Return microjoules for one input; None where the shapes in `model` cannot be inferred."""
    graph = _SizedGraph(model)
    read_bits: float = sum(_bits(tensor) for tensor in model.graph.initializer)
    picojoules = 0.0
    try:
        for node in model.graph.node:
            stored = graph.weights.weight_of(node)
            if node.op_type in PRODUCTS:
                picojoules += _layer_pj(node, stored, graph)
            elif stored is not None:  # an embedding
                table = math.prod(graph.shape(node.input[0]))
                rows = math.prod(graph.shape(node.output[0]))
                read_bits -= _bits(stored.tensor) * (1 - rows / table)
    except _UnknownShapeError:
        return None
    return (picojoules + DRAM_PJ * read_bits / 32) / 1e6


def _layer_pj(node: NodeProto, stored: StoredWeight | None, graph: "_SizedGraph") -> float:
    """Return the picojoules of a layer's products and of what it reads and writes in SRAM."""
    outputs = math.prod(graph.shape(node.output[0]))
    float_type = graph.float_type(node.input[0])
    weight_bits: float = ELEMENTS[float_type][0]
    input_bits = graph.integer_bits(node.input[0])
    if stored is not None:
        weight_bits = _bits(stored.tensor) / math.prod(graph.shape(node.input[1]))
        if stored.codebook is not None:
            weight_bits += ELEMENTS[stored.codebook.data_type][0]
    if stored is not None and stored.zero_point is not None and input_bits is not None:
        product = integer_multiply_pj(weight_bits, input_bits) + INT32_ADD_PJ
    else:
        product = MULTIPLY_ADD_PJ[float_type]
        input_bits = input_bits or ELEMENTS[float_type][0]
    product += SRAM_PJ * (weight_bits + input_bits) / 32
    return outputs * (_products_of_output(node, graph) * product + SRAM_PJ)


def _products_of_output(node: NodeProto, graph: "_SizedGraph") -> int:
    """Return how many products are added up for one output."""
    if node.op_type == "Conv":
        return math.prod(graph.shape(node.input[1])[1:])
    is_transposed = any(each.name == "transA" and each.i for each in node.attribute)
    return graph.shape(node.input[0])[0 if is_transposed else -1]


def _bits(tensor: TensorProto) -> int:
    """Return what the file spends on a stored tensor; nothing on int64, which are shapes."""
    width, _ = ELEMENTS.get(tensor.data_type, (0, 0))
    return int(width * math.prod(tensor.dims))


class _SizedGraph:
    """A graph whose values have shapes, for a batch of one."""

    def __init__(self, model: ModelProto) -> None:
        sized = ModelProto()
        sized.CopyFrom(model)
        for tensor in sized.graph.initializer:
            if len(tensor.raw_data) > MOST_CONSTANT_BYTES:
                tensor.ClearField("raw_data")
        for value in (*sized.graph.input, *sized.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = 1
        inferred = shape_inference.infer_shapes(sized, data_prop=True).graph
        self.weights = StoredWeights(model.graph)
        self._types = {
            value.name: value.type.tensor_type
            for value in (*inferred.value_info, *inferred.input, *inferred.output)
        }

    def shape(self, name: str) -> list[int]:
        """Return the shape of a value or a stored tensor."""
        if name in self.weights.initializers:
            return list(self.weights.initializers[name].dims)
        if name not in self._types:
            raise _UnknownShapeError
        dims = self._types[name].shape.dim
        if not all(dim.HasField("dim_value") for dim in dims):
            raise _UnknownShapeError
        return [dim.dim_value for dim in dims]

    def float_type(self, name: str) -> int:
        """Return the type of float that a value is."""
        if name not in self._types:
            raise _UnknownShapeError
        return int(self._types[name].elem_type)

    def integer_bits(self, name: str) -> int | None:
        """Return the width of the integers that a value was quantized to, if it was."""
        before = self.weights.producers.get(name)
        if before is None or before.op_type != "DequantizeLinear":
            return None
        return ELEMENTS[self.weights.initializers[before.input[2]].data_type][0]
