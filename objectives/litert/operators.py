"""How each of ONNX's operators is written in LiteRT's."""

from collections.abc import Callable

from onnx import NodeProto

from objectives.litert import elementwise, layers, parts, resampling, shapes
from objectives.litert.writer import Writer

OPERATORS: dict[str, Callable[[Writer, NodeProto], None]] = {
    "Conv": layers.conv,
    "Gemm": layers.gemm,
    "MatMul": layers.matmul,
    "Relu": elementwise.cut,
    "Clip": elementwise.cut,
    "LeakyRelu": elementwise.leaky_relu,
    "HardSigmoid": elementwise.hard_sigmoid,
    "Softmax": elementwise.softmax,
    "BatchNormalization": elementwise.batch_norm,
    "LayerNormalization": elementwise.layer_norm,
    "MaxPool": shapes.pool,
    "AveragePool": shapes.pool,
    "GlobalAveragePool": shapes.mean,
    "ReduceMean": shapes.mean,
    "Reshape": shapes.reshape,
    "Flatten": shapes.reshape,
    "Squeeze": shapes.reshape,
    "Unsqueeze": shapes.reshape,
    "Transpose": shapes.transpose,
    "Concat": shapes.concat,
    "Expand": shapes.expand,
    "Gather": shapes.gather,
    "GatherND": parts.gather_nd,
    "Slice": parts.slices,
    "Split": parts.split,
    "Pad": parts.pad,
    "Where": parts.where,
    "Resize": resampling.resize,
    "ConvTranspose": resampling.conv_transpose,
    "Identity": shapes.identity,
    **dict.fromkeys(elementwise.BINARY, elementwise.binary),
    **dict.fromkeys(elementwise.UNARY, elementwise.unary),
}
