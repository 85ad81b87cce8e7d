"""The parts of a .tflite file as they are put together: tensors, their buffers, operators."""

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from objectives.litert.plain import Scale

TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.int16): schema.TensorType.INT16,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int64): schema.TensorType.INT64,
    np.dtype(np.bool_): schema.TensorType.BOOL,
}

VERSIONS = {
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "TRANSPOSE_CONV": 3,
    "MAX_POOL_2D": 2,
    "AVERAGE_POOL_2D": 2,
    "ADD": 2,
    "SUB": 2,
    "MUL": 2,
    "CONCATENATION": 2,
    "SOFTMAX": 2,
    "PAD": 2,
    "PADV2": 2,
    "MAXIMUM": 2,
    "MINIMUM": 2,
    "MIRROR_PAD": 2,
    "REDUCE_MAX": 2,
    "REDUCE_MIN": 2,
    "SUM": 2,
    "MEAN": 2,
    "LOGISTIC": 2,
    "TANH": 2,
    "RELU": 2,
    "RELU6": 2,
    "LEAKY_RELU": 2,
    "QUANTIZE": 2,
    "DEQUANTIZE": 2,
    "TRANSPOSE": 2,
    "GATHER": 3,
    "BATCH_MATMUL": 2,
    "BROADCAST_TO": 2,
    "SLICE": 2,
    "STRIDED_SLICE": 2,
    "SPLIT_V": 2,
    "RESIZE_BILINEAR": 3,
    "RESIZE_NEAREST_NEIGHBOR": 3,
}
"""Of operators on int8, where that is not the first."""

OF_INT4 = {"CONV_2D": 7, "DEPTHWISE_CONV_2D": 7, "FULLY_CONNECTED": 10}
"""Of those that read int4; all other weights stay int8."""


class Builder:
    """A model of one graph, whose tensors and operators are added in the order of computing."""

    def __init__(self) -> None:
        self._model = schema.ModelT()
        self._model.version = 3
        self._model.buffers = [schema.BufferT()]  # the first one is empty
        self._model.operatorCodes = []
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._codes: dict[tuple[str, int], int] = {}

    def tensor(
        self,
        shape: Sequence[int],
        dtype: np.dtype[Any] | type,
        scale: Scale | None = None,
        *,
        name: str = "",
    ) -> int:
        """Add a tensor that is computed; return its number."""
        made = schema.TensorT()
        made.shape = [int(side) for side in shape]
        made.type = TYPES[np.dtype(dtype)]
        made.name = name
        made.hasRank = True
        made.quantization = _quantization(scale)
        self._graph.tensors.append(made)
        return len(self._graph.tensors) - 1

    def like(self, number: int, shape: Sequence[int]) -> int:
        """Add a tensor that holds what another one does, in another shape; return its number."""
        other = self._graph.tensors[number]
        made = schema.TensorT()
        made.shape = [int(side) for side in shape]
        made.type, made.quantization = other.type, other.quantization
        made.name, made.hasRank = "", True
        self._graph.tensors.append(made)
        return len(self._graph.tensors) - 1

    def shape(self, number: int) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return tuple(self._graph.tensors[number].shape)

    def is_float(self, number: int) -> bool:
        """Return whether a tensor is floats."""
        return self.type_of(number) == int(schema.TensorType.FLOAT32)

    def type_of(self, number: int) -> int:
        """Return the type of a tensor, as the schema numbers them."""
        return int(self._graph.tensors[number].type)

    def take_scale(self, number: int, of: int) -> int:
        """Let a tensor have the scale of another one; return its number."""
        self._graph.tensors[number].quantization = self._graph.tensors[of].quantization
        return number

    def constant(self, values: np.ndarray, scale: Scale | None = None) -> int:
        """Add a tensor that the file holds; return its number."""
        number = self.tensor(values.shape, values.dtype, scale)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        self._graph.tensors[number].buffer = len(self._model.buffers) - 1
        return number

    def int4(self, values: np.ndarray, scale: Scale) -> int:
        """Add integers from -8 to 7 that the file holds two a byte, the first one in the low half.

        Returns:
            The number of their tensor.
        """
        number = self.constant(_packed(values), scale)
        tensor = self._graph.tensors[number]
        tensor.shape, tensor.type = list(values.shape), schema.TensorType.INT4
        return number

    def floats(self, values: np.ndarray, *, is_half: bool) -> int:
        """Add a tensor of floats that the file holds, maybe as float16; return its number."""
        if not is_half:
            return self.constant(values.astype(np.float32))
        held = self.constant(values.astype(np.float16))
        number = self.tensor(values.shape, np.float32)
        self.operator("DEQUANTIZE", [held], [number], kind="DequantizeOptions", version=3)
        return number

    def operator(
        self, name: str, inputs: Sequence[int], outputs: Sequence[int], **options: Any
    ) -> None:
        """Add an operator; options are called as the schema calls them.

        Args:
            name: As `schema.BuiltinOperator` has it.
            inputs: Numbers of tensors, -1 for one that is left out.
            outputs: Numbers of tensors.
            options: Of its kind; "kind" is the name of the table they are in. "version" is the
                least one that has them.
        """
        made = schema.OperatorT()
        version = VERSIONS.get(name, 1)
        if any(self.type_of(each) == schema.TensorType.INT4 for each in inputs if each >= 0):
            version = OF_INT4[name]
        made.opcodeIndex = self._code(name, max(version, options.pop("version", 1)))
        made.inputs, made.outputs = list(inputs), list(outputs)
        kind = options.pop("kind", None)
        if kind is not None:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            made.builtinOptions = getattr(schema, f"{kind}T")()
            vars(made.builtinOptions).update(options)
        self._graph.operators.append(made)

    def reshape(self, number: int, shape: Sequence[int], into: int | None = None) -> int:
        """Write a tensor in another shape, maybe into one that is there; return its number."""
        made = self.like(number, shape) if into is None else into
        wanted = np.array(shape, np.int32)
        options = {"kind": "ReshapeOptions", "newShape": wanted.tolist()}
        self.operator("RESHAPE", [number, self.constant(wanted)], [made], **options)
        return made

    def transpose(self, number: int, order: Sequence[int], into: int | None = None) -> int:
        """Write a tensor with its axes in another order; return its number."""
        shape = self.shape(number)
        made = self.like(number, [shape[axis] for axis in order]) if into is None else into
        held = self.constant(np.array(order, np.int32))
        options = {"version": {5: 4, 6: 6}[len(order)]} if len(order) > 4 else {}
        self.operator("TRANSPOSE", [number, held], [made], kind="TransposeOptions", **options)
        return made

    def floats_of(
        self, name: str, inputs: Sequence[int], shape: Sequence[int], **options: Any
    ) -> int:
        """Write an operator that gives floats; return their number."""
        made = self.tensor(shape, np.float32)
        self.operator(name, inputs, [made], **options)
        return made

    def number(self, value: float) -> int:
        """Add one float."""
        return self.constant(np.full((), value, np.float32))

    def finish(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """Return the file."""
        self._graph.inputs, self._graph.outputs = list(inputs), list(outputs)
        self._model.subgraphs = [self._graph]
        written = flatbuffers.Builder(1024)
        written.Finish(self._model.Pack(written), b"TFL3")
        return bytes(written.Output())

    def _code(self, name: str, version: int) -> int:
        if (name, version) not in self._codes:
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, name)
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
            code.version = version
            self._model.operatorCodes.append(code)
            self._codes[name, version] = len(self._codes)
        return self._codes[name, version]


def _packed(values: np.ndarray) -> np.ndarray:
    """Return int4 two a byte, uint8; a last one alone is in the low half."""
    halves = np.ascontiguousarray(values).reshape(-1).astype(np.int8).view(np.uint8) & 15
    halves = np.append(halves, np.zeros(len(halves) % 2, np.uint8))
    packed: np.ndarray = halves[0::2] | halves[1::2] << 4
    return packed.view(np.int8)


def _quantization(scale: Scale | None) -> Any:  # noqa: ANN401 - the schema has no types
    if scale is None:
        return None
    made = schema.QuantizationParametersT()
    made.scale = np.atleast_1d(scale.scale).astype(np.float32)
    made.zeroPoint = np.atleast_1d(scale.zero_point).astype(np.int64)
    made.quantizedDimension = scale.axis
    return made
