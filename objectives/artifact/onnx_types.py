"""Which of ONNX's integer types hold weights, codes and inputs, and what they ask of a file."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

INTEGER_TYPES = {
    32: TensorProto.INT32,
    16: TensorProto.INT16,
    8: TensorProto.INT8,
    6: TensorProto.INT8,
    5: TensorProto.INT8,
    4: TensorProto.INT4,
    3: TensorProto.INT4,
    2: TensorProto.INT2,
    1: TensorProto.INT2,
}
"""What a weight is stored as, by bits: the narrowest type that ONNX has."""

CODE_TYPES = (
    (4, TensorProto.UINT2),
    (16, TensorProto.UINT4),
    (256, TensorProto.UINT8),
    (65536, TensorProto.UINT16),
)
"""What a code is stored as, by the most entries that a codebook can have for it."""

INPUT_TYPES = {16: TensorProto.INT16, 8: TensorProto.INT8, 4: TensorProto.INT8}
"""What an input is quantized to, by bits, where it is not uint8.

ONNX Runtime 1.32 cannot open a graph that quantizes what comes out of a ReLU to INT4; so inputs of
4 bits are clipped to their range and stored as INT8.
"""

LEAST_OPSET: dict[int, int] = {
    TensorProto.INT16: 21,
    TensorProto.INT4: 21,
    TensorProto.UINT4: 21,
    TensorProto.INT2: 25,
    TensorProto.UINT2: 25,
}


def integer_tensor(name: str, values: np.ndarray, integer_type: int) -> TensorProto:
    """Return `values` as an initializer; types below 8 bits are packed."""
    numbers = np.asarray(values).astype(np.int64)
    packed: TensorProto = numpy_helper.from_array(
        numbers.astype(helper.tensor_dtype_to_np_dtype(integer_type)), name
    )
    return packed
