"""What gives numbers another shape or order, or brings several together."""

import numpy as np
from onnx import NodeProto

from objectives.litert.layouts import LAST, keeps_channels
from objectives.litert.plain import attributes
from objectives.litert.writer import Writer


def reshape(writer: Writer, node: NodeProto) -> None:
    """Numbers in another shape; of an image that only dense layers read, channels last."""
    name, given = node.input[0], node.output[0]
    shape, sides = writer.plain.shapes[name], writer.plain.shapes[given]
    floats = not writer.on_integers or name not in writer.plain.scales
    scale = None if floats else writer.scale(given)
    image = writer.renamed.get(name, name) in writer.images
    free = image and (shape[1] == 1 or np.prod(shape[2:]) == 1)  # one order is the other
    flat = image and len(shape) == 4 and len(sides) == 2 and sides[0] == shape[0]
    only_dense = all(each.op_type == "Gemm" for each in writer.readers.get(given, []))
    flat = flat and only_dense and given not in writer.plain.outputs
    images = given in writer.images and (image and keeps_channels(writer.plain, node))
    reads = writer.read(name, floats=floats, images=free or flat or images, scale=scale)
    if flat and not free:
        writer.flattened[given] = tuple(shape[1:])
    made = writer.add(given, floats=floats, images=images)
    writer.builder.reshape(reads, writer.shape(given), made)


def transpose(writer: Writer, node: NodeProto) -> None:
    """Axes in another order: that between the layouts in which the two values are."""
    name, given = node.input[0], node.output[0]
    floats = not writer.on_integers or name not in writer.plain.scales
    order = list(attributes(node)["perm"])
    scale = None if floats else writer.scale(given)
    reads = writer.read(name, floats=floats, scale=scale)
    own = list(range(len(order)))
    before = LAST[len(order)] if writer.renamed.get(name, name) in writer.images else own
    images = given in writer.images
    after = LAST[len(order)] if images else own
    wanted = [list(before).index(order[axis]) for axis in after]
    if wanted == own:
        writer.share(given, reads, floats=floats, images=images)
    else:
        writer.builder.transpose(reads, wanted, writer.add(given, floats=floats))


def concat(writer: Writer, node: NodeProto) -> None:
    """Values side by side, of one scale."""
    given, images = node.output[0], node.output[0] in writer.images
    floats = not writer.on_integers or given not in writer.plain.scales
    scale = None if floats else writer.scale(given)
    reads = [
        writer.read(name, floats=floats, images=images, scale=scale, rank=writer.rank(given))
        for name in node.input
    ]
    axis = writer.axis(given, int(attributes(node)["axis"]))
    made = writer.add(given, floats=floats)
    writer.builder.operator("CONCATENATION", reads, [made], kind="ConcatenationOptions", axis=axis)


def expand(writer: Writer, node: NodeProto) -> None:
    """Numbers again and again along axes of length 1."""
    given, images = node.output[0], node.output[0] in writer.images
    floats = not writer.on_integers or given not in writer.plain.scales
    scale, rank = None if floats else writer.scale(given), writer.rank(given)
    reads = writer.read(node.input[0], floats=floats, images=images, scale=scale, rank=rank)
    made = writer.add(given, floats=floats)
    shape = writer.builder.constant(np.array(writer.shape(given), np.int32))
    writer.builder.operator("BROADCAST_TO", [reads, shape], [made], kind="BroadcastToOptions")


def identity(writer: Writer, node: NodeProto) -> None:
    """Nothing."""
    writer.alias(node.output[0], node.input[0])
