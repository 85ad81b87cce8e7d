"""Estimate the energy of one inference, from what an ONNX graph computes and reads.

This is a model of a simple accelerator, not a measurement: nobody's chip takes exactly that. It
serves to compare files of one network with one another.

Notation, for each layer (MatMul, Gemm, Conv) and a batch of one: m its products, n those of them
whose weight is not stored as 0, o its outputs, b_w and b_x the bits that a weight is stored as and
an input has; S the bits of all stored tensors that are read. Then, in pJ,

    E = sum of n (multiply + add + 5 b_x / 32) + 5 m b_w / 32 + 5 o,  and  640 S / 32 once

- Weights come once from DRAM, as the file stores them; of an embedding only the rows asked for,
  but all scales.
- Each product reads its weight from a small SRAM (8 KB), and then its input; each output, of 32
  bits, is written there once. A weight that is a code is read as one, and then its entry of the
  codebook.
- A weight of 0 is read, and then nothing is done: its input is not read, nothing multiplied or
  added. Eyeriss does so with the roles exchanged, for inputs of 0 (Chen et al. 2017, IEEE JSSC
  52:1). Zeros that arise among inputs save nothing here, as no file tells how many there are.
- Integers are multiplied where weight and input both are (QDQ form), and added up in 32 bits.
  Else the graph computes in floats, also where weights are stored as fewer bits.
- Where all weights of a layer but zeros are +-c 2^e, with one c (seen in the numbers that are
  stored: floats, integers less their zero point, entries of a codebook), multiplying is shifting:
  of an integer by a barrel shifter, of a float an addition of 8 bits to its exponent. Integers are
  taken as soon as inputs are some. No entry of a codebook is read: a code tells e and the sign.
- Where e is the same, too (binary and ternary weights), nothing is multiplied at all: what is
  left of a product is an addition or a subtraction.
- c and scales multiply sums, not products; that counts nothing, nor do activations, pooling,
  normalization and whatever else has no weights or products.

Source of the constants: Horowitz 2014, "Computing's Energy Problem", ISSCC, Fig. 1.1.9: 45 nm,
0.9 V. It has integers of 8 and 32 bits; the energy of multiplying others is put on the power law
through these two,

    multiply(b_w, b_x) = 0.2 (b / 8)^1.98,   b = sqrt(b_w b_x)

nearly quadratic, as the area of a multiplier is. It has no shift. A barrel shifter that shifts by
r places at most is ceil(log2(r + 1)) rows of multiplexers, one for each bit of the input (Weste
and Harris, "CMOS VLSI Design", on shifters), and one takes 0.3 of an adder's bit, as QKeras counts
it (Coelho et al. 2021, arXiv:2006.10159; `gate_factor` of its `multiplier_impl.py`):

    shift(r, b_x) = 0.3 ceil(log2(r + 1)) b_x 0.1 / 32
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper, shape_inference

from objectives.artifact.stored_weights import StoredWeight, StoredWeights
from objectives.container.payloads import ELEMENTS

ENERGY_VERSION = 2
"""Goes up when a file's estimate changes. The first one multiplied by every weight alike."""

MULTIPLY_PJ: dict[int, float] = {TensorProto.FLOAT: 3.7, TensorProto.FLOAT16: 1.1}
ADD_PJ: dict[int, float] = {TensorProto.FLOAT: 0.9, TensorProto.FLOAT16: 0.4}
"""Of floats, by their type."""
INT8_MULTIPLY_PJ, INT32_MULTIPLY_PJ = 0.2, 3.1
INT8_ADD_PJ, INT32_ADD_PJ = 0.03, 0.1
INTEGER_EXPONENT = math.log(INT32_MULTIPLY_PJ / INT8_MULTIPLY_PJ, 32 / 8)
MULTIPLEXER_PJ = 0.3 * INT32_ADD_PJ / 32
"""Of one bit."""
SRAM_PJ, DRAM_PJ = 5.0, 640.0
"""Of reading or writing 32 bits."""

PRODUCTS = {"MatMul", "Gemm", "Conv"}
MOST_CONSTANT_BYTES = 1024
"""Larger tensors are weights, whose values decide no shape."""


class _UnknownError(Exception):
    """How large a value is, or what its numbers cost, is not known; it stays in this module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """What one input takes, microjoules."""

    arithmetic_uj: float = 0.0
    """Of multiplying, shifting and adding."""
    sram_uj: float = 0.0
    """Of what products read and outputs write."""
    dram_uj: float = 0.0
    """Of loading the weights."""

    @property
    def total_uj(self) -> float:
        """All of it."""
        return self.arithmetic_uj + self.sram_uj + self.dram_uj


def integer_multiply_pj(weight_bits: float, input_bits: float) -> float:
    """Return the energy of multiplying two integers, pJ."""
    bits = math.sqrt(weight_bits * input_bits)
    return float(INT8_MULTIPLY_PJ * (bits / 8) ** INTEGER_EXPONENT)


def integer_shift_pj(places: int, input_bits: float) -> float:
    """Return the energy of shifting an integer by 0 to `places` places, pJ."""
    return MULTIPLEXER_PJ * places.bit_length() * input_bits


def shift_places(numbers: np.ndarray) -> int | None:
    """Return how far apart the exponents are of numbers that are 0 or +-c 2^e, with one c.

    0 if there is one e; None if the numbers are others.
    """
    mantissas, exponents = np.frexp(numbers[numbers != 0])
    if mantissas.size == 0:
        return 0
    if (np.abs(mantissas) != np.abs(mantissas[0])).any():
        return None
    return int(np.ptp(exponents))


def estimate_energy_uj(
    model: ModelProto, shapes: Mapping[str, Sequence[int]] | None = None
) -> float | None:
    """Return microjoules for one input; None where shapes cannot be inferred, and of float64.

    Args:
        model: The file.
        shapes: Of each of its inputs, by name, where more than their number may be another.
    """
    energy = estimate_energy(model, shapes)
    return None if energy is None else energy.total_uj


def estimate_energy(
    model: ModelProto, shapes: Mapping[str, Sequence[int]] | None = None
) -> Energy | None:
    """Return what one input takes; see `estimate_energy_uj`."""
    graph = _SizedGraph(model, shapes or {})
    read_bits: float = sum(_bits(tensor) for tensor in model.graph.initializer)
    arithmetic_pj = sram_pj = 0.0
    try:
        for node in model.graph.node:
            stored = graph.weights.weight_of(node)
            if node.op_type in PRODUCTS:
                computed, moved = _layer_pj(node, stored, graph)
                arithmetic_pj += computed
                sram_pj += moved
            elif stored is not None:  # an embedding
                table = math.prod(graph.shape(node.input[0]))
                rows = math.prod(graph.shape(node.output[0]))
                read_bits -= _bits(stored.tensor) * (1 - rows / table)
    except _UnknownError:
        return None
    return Energy(
        arithmetic_uj=arithmetic_pj / 1e6,
        sram_uj=sram_pj / 1e6,
        dram_uj=DRAM_PJ * read_bits / 32 / 1e6,
    )


def _layer_pj(
    node: NodeProto, stored: StoredWeight | None, graph: "_SizedGraph"
) -> tuple[float, float]:
    """Return the picojoules of a layer's arithmetic, and of what it reads and writes in SRAM."""
    outputs = math.prod(graph.shape(node.output[0]))
    products = outputs * _products_of_output(node, graph)
    float_type = graph.float_type(node.input[0])
    weight_bits: float = ELEMENTS[float_type][0]
    quantized_bits = graph.integer_bits(node.input[0])
    input_bits = quantized_bits or ELEMENTS[float_type][0]
    nonzero, places = 1.0, None
    if stored is not None:
        numbers = stored.numbers()
        nonzero = int(np.count_nonzero(numbers)) / max(numbers.size, 1)
        places = shift_places(numbers)
        weight_bits = _bits(stored.tensor) / math.prod(graph.shape(node.input[1]))
        if stored.codebook is not None and places is None:
            weight_bits += ELEMENTS[stored.codebook.data_type][0]
    is_integer = places is not None or (stored is not None and stored.zero_point is not None)
    if quantized_bits is not None and is_integer:
        product = INT32_ADD_PJ + (
            integer_multiply_pj(weight_bits, quantized_bits)
            if places is None
            else integer_shift_pj(places, quantized_bits)
        )
    elif places is None:
        product = ADD_PJ[float_type] + MULTIPLY_PJ[float_type]
    else:  # an exponent has 8 bits at most
        product = ADD_PJ[float_type] + (INT8_ADD_PJ if places > 0 else 0.0)
    read_bits = products * (weight_bits + nonzero * input_bits)
    return products * nonzero * product, SRAM_PJ * (read_bits / 32 + outputs)


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

    def __init__(self, model: ModelProto, shapes: Mapping[str, Sequence[int]]) -> None:
        sized = ModelProto()
        sized.CopyFrom(model)
        for tensor in sized.graph.initializer:
            if len(tensor.raw_data) > MOST_CONSTANT_BYTES:
                tensor.ClearField("raw_data")
        for value in (*sized.graph.input, *sized.graph.output):
            dims = value.type.tensor_type.shape.dim
            for dim, side in zip(dims, shapes.get(value.name, ()), strict=False):
                dim.dim_value = side
            dims[0].dim_value = 1
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
            raise _UnknownError
        dims = self._types[name].shape.dim
        if not all(dim.HasField("dim_value") for dim in dims):
            raise _UnknownError
        return [dim.dim_value for dim in dims]

    def float_type(self, name: str) -> int:
        """Return the type of float that a value is, one whose arithmetic has a published cost."""
        if name not in self._types or self._types[name].elem_type not in MULTIPLY_PJ:
            raise _UnknownError
        return int(self._types[name].elem_type)

    def integer_bits(self, name: str) -> int | None:
        """Return the width of the integers that a value was quantized to, if it was.

        Runtimes quantize to 8 bits at least; a Clip in front leaves fewer of them in use.
        """
        producers, initializers = self.weights.producers, self.weights.initializers
        before = producers.get(name)
        if before is None or before.op_type != "DequantizeLinear":
            return None
        bits = ELEMENTS[initializers[before.input[2]].data_type][0]
        quantize = producers.get(before.input[0])
        clip = None if quantize is None else producers.get(quantize.input[0])
        if clip is None or clip.op_type != "Clip":
            return bits
        limits = [initializers.get(limit) for limit in clip.input[1:]]
        if len(limits) < 2 or None in limits:
            return bits
        low, high, scale = (
            numpy_helper.to_array(tensor)
            for tensor in (*limits, initializers[before.input[1]])
            if tensor is not None
        )
        steps = np.rint((high - low) / scale).max()
        return min(bits, int(steps).bit_length())
