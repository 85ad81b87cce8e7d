"""How each of ONNX's operators is written in LiteRT's."""

from collections.abc import Callable

from onnx import NodeProto

from objectives.litert import (
    convolutions,
    curves,
    dense,
    elementwise,
    norms,
    pooling,
    resampling,
    shapes,
    slices,
)
from objectives.litert.writer import Writer

OPERATORS: dict[str, Callable[[Writer, NodeProto], None]] = {
    "Conv": convolutions.conv,
    "ConvTranspose": convolutions.conv_transpose,
    "Gemm": dense.gemm,
    "MatMul": dense.matmul,
    "Relu": curves.cut,
    "Clip": curves.cut,
    "LeakyRelu": curves.leaky_relu,
    "PRelu": curves.prelu,
    "HardSigmoid": curves.hard_sigmoid,
    "Elu": curves.elu,
    "Celu": curves.elu,
    "Selu": curves.elu,
    "Softplus": curves.softplus,
    "Softmax": norms.softmax,
    "LogSoftmax": norms.log_softmax,
    "BatchNormalization": norms.batch_norm,
    "LayerNormalization": norms.layer_norm,
    "InstanceNormalization": norms.instance_norm,
    "MaxPool": pooling.max_pool,
    "AveragePool": pooling.average_pool,
    "ReduceL2": pooling.length,
    "Resize": resampling.resize,
    "Reshape": shapes.reshape,
    "Flatten": shapes.reshape,
    "Squeeze": shapes.reshape,
    "Unsqueeze": shapes.reshape,
    "Transpose": shapes.transpose,
    "Concat": shapes.concat,
    "Expand": shapes.expand,
    "Identity": shapes.identity,
    "Slice": slices.slice_,
    "Split": slices.split,
    "Pad": slices.pad,
    "Gather": slices.gather,
    "GatherND": slices.gather_nd,
    "Pow": elementwise.power,
    "Reciprocal": elementwise.reciprocal,
    "Where": elementwise.where,
    "Cast": elementwise.cast,
    **dict.fromkeys(pooling.REDUCTIONS, pooling.reduce),
    **dict.fromkeys(elementwise.BINARY, elementwise.binary),
    **dict.fromkeys(elementwise.EXTREMES, elementwise.extremes),
    **dict.fromkeys(elementwise.UNARY, elementwise.unary),
}
