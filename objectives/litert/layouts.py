"""Which values have channels last: what convolutions and poolings read and give.

Our files have images as (N, C, H, W) and rows as (N, C, L), LiteRT has them as (N, H, W, C) and
here (N, L, C). What works number by number is as what it reads; whatever else has as many axes, as
attention's heads, stays as it is. So do inputs (N, C, L), as nobody could tell which is which.
"""

import numpy as np
from onnx import NodeProto

from objectives.litert.plain import Plain, attributes
from objectives.network.groups import Groups

OF_IMAGES = {
    "Conv",
    "ConvTranspose",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Resize",
}
"""Operators on channels last."""

ALIKE = {
    "Abs",
    "Add",
    "BatchNormalization",
    "Celu",
    "Clip",
    "Concat",
    "Div",
    "Elu",
    "Exp",
    "Expand",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LeakyRelu",
    "Log",
    "Max",
    "Min",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Pow",
    "Reciprocal",
    "Relu",
    "Selu",
    "Sigmoid",
    "Slice",
    "Softplus",
    "Split",
    "Sqrt",
    "Sub",
    "Tanh",
    "Where",
}
"""Those that have one layout for all that they read and give."""

LAST = {3: (0, 2, 1), 4: (0, 2, 3, 1)}
FIRST = {3: (0, 2, 1), 4: (0, 3, 1, 2)}
"""The order of axes from one layout to the other, by how many there are."""


def channels_last(plain: Plain) -> set[str]:
    """Return the values of three and four axes that are to have channels last."""
    groups = Groups()
    images: list[str] = []
    for node in plain.nodes:
        found = [
            name
            for name in (*node.output, *node.input)
            if name not in plain.constants and len(plain.shapes.get(name, ())) in LAST
        ]
        alike = [name for name in found if len(plain.shapes[name]) == len(plain.shapes[found[0]])]
        if node.op_type in OF_IMAGES or _is_pool(plain, node):
            images += alike
        if node.op_type in ALIKE:
            for name in alike:
                groups.join(name, alike[0])
        if node.op_type == "Reshape" and keeps_channels(plain, node):
            groups.join(node.input[0], node.output[0])
    of_images = {groups.of(name) for name in images}
    rows = {name for name in plain.inputs if len(plain.shapes[name]) == 3}
    return {
        name
        for name, shape in plain.shapes.items()
        if len(shape) in LAST and groups.of(name) in of_images and name not in rows
    }


def keeps_channels(plain: Plain, node: NodeProto) -> bool:
    """Return whether a node only gives places of a channel another shape."""
    before, after = (plain.shapes.get(name, ()) for name in (node.input[0], node.output[0]))
    return len(before) in LAST and len(after) in LAST and before[:2] == after[:2]


def _is_pool(plain: Plain, node: NodeProto) -> bool:
    """Return whether a node is an average over all places of an image."""
    if node.op_type != "ReduceMean" or len(node.input) < 2:
        return False
    axes = len(plain.shapes[node.input[0]])
    held = plain.constants.get(node.input[1])
    keeps = attributes(node).get("keepdims", 1)
    return (
        axes == 4
        and bool(keeps)
        and held is not None
        and sorted(int(axis) % axes for axis in held.values.reshape(-1)) == [2, 3]
    )


def last(values: np.ndarray, axes: int = 4) -> np.ndarray:
    """Return a constant that broadcasts over so many axes, (..., C, H, W), with channels last."""
    return values.reshape((1,) * (axes - values.ndim) + values.shape).transpose(LAST[axes])
