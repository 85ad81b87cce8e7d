"""Which values have channels last: what convolutions and poolings of images read and give.

Our files have images as (N, C, H, W), LiteRT has them as (N, H, W, C). What works number by number
is as what it reads; whatever else has four axes, as attention's heads, stays as it is.
"""

from collections.abc import Sequence

import numpy as np

from objectives.litert.plain import Plain
from objectives.network.groups import Groups

OF_IMAGES = {"Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "Resize"}
"""Operators on channels last."""

ALIKE = {
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Relu",
    "Clip",
    "LeakyRelu",
    "HardSwish",
    "HardSigmoid",
    "Sigmoid",
    "Tanh",
    "Gelu",
    "Concat",
    "Expand",
    "Pad",
    "Slice",
    "Split",
    "PRelu",
    "Max",
    "Min",
    "Abs",
    "BatchNormalization",
    "Identity",
}
"""Those that have one layout for all that they read and give."""

LAST = (0, 2, 3, 1)
FIRST = (0, 3, 1, 2)
"""The order of axes from one layout to the other."""


def channels_last(plain: Plain) -> set[str]:
    """Return the values of four axes that are to have channels last."""
    groups = Groups()
    images: list[str] = []
    for node in plain.nodes:
        four = [
            name
            for name in (*node.input, *node.output)
            if name not in plain.constants and len(plain.shapes.get(name, ())) == 4
        ]
        if node.op_type in OF_IMAGES or _is_pool(node.op_type, four):
            images += four
        if node.op_type in ALIKE:
            for name in four:
                groups.join(name, four[0])
    of_images = {groups.of(name) for name in images}
    return {
        name
        for name, shape in plain.shapes.items()
        if len(shape) == 4 and groups.of(name) in of_images
    }


def _is_pool(operator: str, four: Sequence[str]) -> bool:
    return operator == "ReduceMean" and len(four) == 2


def last(values: np.ndarray, axes: int = 4) -> np.ndarray:
    """Return a constant that broadcasts over so many axes, (..., C, H, W), with channels last."""
    return values.reshape((1,) * (axes - values.ndim) + values.shape).transpose(LAST)
