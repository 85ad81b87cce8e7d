"""Write a .tflite file: the same graph, weights and scales as a file of ours has.

Where a file of ours has weights of 8 bits or fewer, all of LiteRT's values are int8, in the scales
that our file has or else the ranges of training inputs, but for those around operators that it has
on floats only; else all are floats. The batch is one input.

Weights of four bits are smaller in four bits, but slower, so this is not the default: LeNet-5 and
ResNet-20 take 0.52 and 0.55 times the bytes, after gzip 0.88, 0.92 and 0.93 if 90 % are zeros; an
answer takes 1.7 and 3.8 times as long, as LiteRT's fast kernels (XNNPACK) do not read them.

Sources: the schema of the flatbuffer (`ai_edge_litert.schema_py_generated`), and LiteRT's
specification of int8: weights have no zero point, one scale for each channel, biases int32.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from objectives.errors import MeasurementError
from objectives.litert.operators import OPERATORS
from objectives.litert.plain import Plain, plain
from objectives.litert.scales import complete_scales
from objectives.litert.writer import Writer


def has_integer_weights(graph: Plain) -> bool:
    """Return whether a weight is stored as integers that int8 holds, with no zero point."""
    return any(held.fits_int8 and held.values.ndim > 1 for held in graph.constants.values())


def write_tflite(
    content: bytes,
    feeds: Sequence[Mapping[str, np.ndarray]],
    *,
    integer_ends: bool = False,
    small_integers: bool = False,
    halves: bool = True,
) -> bytes:
    """Return a .tflite file that answers as an ONNX file of ours.

    Args:
        content: The ONNX file.
        feeds: Training inputs, by name: the shape of one, and the ranges of what has none yet.
        integer_ends: Whether inputs and outputs are int8, too, where the rest is.
        small_integers: Whether weights that four bits hold take four bits, two a byte.
        halves: Whether weights that ours stores as float16 are float16 there, too.

    Raises:
        MeasurementError: LiteRT has no such operator, or not so; the text names it.
    """
    shapes = {name: (1, *values.shape[1:]) for name, values in feeds[0].items()}
    graph = plain(content, shapes)
    if graph.scales or has_integer_weights(graph):
        complete_scales(graph, feeds)
    if not halves:
        for name, held in graph.constants.items():
            graph.constants[name] = replace(held, is_half=False)
    writer = Writer(graph, small_integers=small_integers)
    inputs = [
        writer.add(name, floats=not (integer_ends and writer.on_integers)) for name in graph.inputs
    ]
    for node in graph.nodes:
        if node.op_type not in OPERATORS:
            raise MeasurementError(f"LiteRT's files are written without {node.op_type} yet.")
        OPERATORS[node.op_type](writer, node)
    ends = [
        writer.read(name, floats=not (integer_ends and writer.on_integers), images=False)
        for name in graph.outputs
    ]
    return writer.builder.finish(inputs, ends)
