"""Norms, and what makes shares of numbers."""

import numpy as np
from onnx import NodeProto

from objectives.errors import MeasurementError
from objectives.litert.activations import fused
from objectives.litert.plain import attributes
from objectives.litert.writer import Writer


def _shares(writer: Writer, node: NodeProto, operator: str, *, floats: bool) -> None:
    """Write an operator over the last axis, or over channels that are last."""
    name, given = node.input[0], node.output[0]
    rank = writer.rank(name)
    axis = int(attributes(node).get("axis", -1)) % rank
    images = axis == 1 and rank in {3, 4}
    if not images and axis != rank - 1:
        raise MeasurementError(
            f"LiteRT's files have a {node.op_type} over the last axis or channels only."
        )
    reads = writer.read(name, floats=floats, images=images)
    made = writer.add(given, floats=floats, images=images)
    options = {"kind": "SoftmaxOptions", "beta": 1.0}
    if operator == "LOG_SOFTMAX":
        options = {"kind": "LogSoftmaxOptions"}
    writer.builder.operator(operator, [reads], [made], **options)


def softmax(writer: Writer, node: NodeProto) -> None:
    """A softmax."""
    floats = writer.needs_floats(node.input[0], node.output[0])
    _shares(writer, node, "SOFTMAX", floats=floats)


def log_softmax(writer: Writer, node: NodeProto) -> None:
    """The logarithm of a softmax, on floats: LiteRT's int8 ends at -16."""
    _shares(writer, node, "LOG_SOFTMAX", floats=True)


def _held(writer: Writer, node: NodeProto, place: int) -> np.ndarray | None:
    """Return a gain or offset, None of one that is left out."""
    held = writer.fixed(node, place, "with fixed gains")
    return None if held is None else held.astype(np.float32)


def batch_norm(writer: Writer, node: NodeProto) -> None:
    """A norm that is no part of a layer: a product and a sum, on floats."""
    gain, offset, mean, variance = (_held(writer, node, place) for place in range(1, 5))
    assert gain is not None
    assert offset is not None
    assert mean is not None
    assert variance is not None
    factor = gain / np.sqrt(variance + float(attributes(node).get("epsilon", 1e-5)))
    images, builder = node.output[0] in writer.images, writer.builder
    axes = writer.rank(node.input[0])
    reads = writer.read(node.input[0], floats=True, images=images)
    activation, given = fused(writer, node.output[0])
    shape = (-1,) if images or axes == 2 else (1, -1, *[1] * (axes - 2))
    factors, offsets = (
        builder.constant(each.astype(np.float32).reshape(shape))
        for each in (factor, offset - mean * factor)
    )
    scaled = builder.floats_of("MUL", [reads, factors], builder.shape(reads), kind="MulOptions")
    writer.alias(node.output[0], given)
    made = writer.add(given, floats=True, images=images)
    builder.operator(
        "ADD", [scaled, offsets], [made], kind="AddOptions", fusedActivationFunction=activation
    )


def _normed(writer: Writer, reads: int, axes: list[int], epsilon: float) -> int:
    """Write numbers less their mean over axes, by their spread; return their tensor."""
    builder, shape = writer.builder, writer.builder.shape(reads)
    one = [1 if axis in axes else side for axis, side in enumerate(shape)]
    held = builder.constant(np.array(axes, np.int32))
    mean_options = {"kind": "ReducerOptions", "keepDims": True}
    mean = builder.floats_of("MEAN", [reads, held], one, **mean_options)
    moved = builder.floats_of("SUB", [reads, mean], shape, kind="SubOptions")
    square = builder.floats_of("MUL", [moved, moved], shape, kind="MulOptions")
    variance = builder.floats_of("MEAN", [square, held], one, **mean_options)
    more = builder.floats_of("ADD", [variance, builder.number(epsilon)], one, kind="AddOptions")
    spread = builder.floats_of("RSQRT", [more], one)
    return builder.floats_of("MUL", [moved, spread], shape, kind="MulOptions")


def _weigh(
    writer: Writer, number: int, made: int, gain: np.ndarray | None, offset: np.ndarray | None
) -> None:
    """Write a product with a gain and a sum with an offset, of those that there are."""
    builder = writer.builder
    shape = builder.shape(made)
    parts = [("MUL", gain), ("ADD", offset)]
    given = [(operator, values) for operator, values in parts if values is not None]
    for place, (operator, values) in enumerate(given):
        target = made if place == len(given) - 1 else builder.like(made, shape)
        held = builder.constant(values)
        kind = f"{operator.capitalize()}Options"
        builder.operator(operator, [number, held], [target], kind=kind)
        number = target
    if not given:
        builder.reshape(number, shape, made)


def layer_norm(writer: Writer, node: NodeProto) -> None:
    """A norm over the last axes, on floats."""
    told, name = attributes(node), node.input[0]
    rank = writer.rank(name)
    axes = list(range(int(told.get("axis", -1)) % rank, rank))
    gain, offset = (_held(writer, node, place) for place in (1, 2))
    reads = writer.read(name, floats=True, images=False)
    normed = _normed(writer, reads, axes, float(told.get("epsilon", 1e-5)))
    _weigh(writer, normed, writer.add(node.output[0], floats=True, images=False), gain, offset)


def instance_norm(writer: Writer, node: NodeProto) -> None:
    """A norm of each channel over its places, on floats."""
    name, given = node.input[0], node.output[0]
    rank, images = writer.rank(name), given in writer.images
    gain, offset = (_held(writer, node, place) for place in (1, 2))
    reads = writer.read(name, floats=True, images=images)
    axes = list(range(1, rank - 1) if images else range(2, rank))
    normed = _normed(writer, reads, axes, float(attributes(node).get("epsilon", 1e-5)))
    shape = (-1,) if images else (-1, *[1] * (rank - 2))
    numbers = [None if each is None else each.reshape(shape) for each in (gain, offset)]
    _weigh(writer, normed, writer.add(given, floats=True), *numbers)
