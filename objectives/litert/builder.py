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
}
"""Of operators on int8, where that is not the first."""


class Builder:
    """A model of one graph, whose tensors and operators are added in the order of computing."""

    def __init__(self) -> None:
        self._model = schema.ModelT()
        self._model.version = 3
        self._model.buffers = [schema.BufferT()]  # the first one is empty
        self._model.operatorCodes = []
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._codes: dict[str, int] = {}

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

    def constant(self, values: np.ndarray, scale: Scale | None = None) -> int:
        """Add a tensor that the file holds; return its number."""
        number = self.tensor(values.shape, values.dtype, scale)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        self._graph.tensors[number].buffer = len(self._model.buffers) - 1
        return number

    def operator(
        self, name: str, inputs: Sequence[int], outputs: Sequence[int], **options: Any
    ) -> None:
        """Add an operator; options are called as the schema calls them.

        Args:
            name: As `schema.BuiltinOperator` has it.
            inputs: Numbers of tensors, -1 for one that is left out.
            outputs: Numbers of tensors.
            options: Of its kind; "kind" is the name of the table they are in.
        """
        made = schema.OperatorT()
        made.opcodeIndex = self._code(name)
        made.inputs, made.outputs = list(inputs), list(outputs)
        kind = options.pop("kind", None)
        if kind is not None:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            made.builtinOptions = getattr(schema, f"{kind}T")()
            vars(made.builtinOptions).update(options)
        self._graph.operators.append(made)

    def finish(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """Return the file."""
        self._graph.inputs, self._graph.outputs = list(inputs), list(outputs)
        self._model.subgraphs = [self._graph]
        written = flatbuffers.Builder(1024)
        written.Finish(self._model.Pack(written), b"TFL3")
        return bytes(written.Output())

    def _code(self, name: str) -> int:
        if name not in self._codes:
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, name)
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
            code.version = VERSIONS.get(name, 1)
            self._model.operatorCodes.append(code)
            self._codes[name] = len(self._codes)
        return self._codes[name]


def _quantization(scale: Scale | None) -> Any:  # noqa: ANN401 - the schema has no types
    if scale is None:
        return None
    made = schema.QuantizationParametersT()
    made.scale = np.atleast_1d(scale.scale).astype(np.float32)
    made.zeroPoint = np.atleast_1d(scale.zero_point).astype(np.int64)
    made.quantizedDimension = scale.axis
    return made
