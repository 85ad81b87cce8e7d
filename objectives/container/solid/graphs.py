"""Typical ONNX graphs: what the model of `text` reads before it codes one.

These bytes belong to the format: encoder and decoder must have the same. They are those of
`container.graphs`, which the first version knows, and behind them networks for small images in
the forms that `artifact.graph` gives weights which a runtime turns to floats when it opens them:
integers times a scale, and codes that name the entries of a codebook. No number was trained. A
change here needs a new `format.MAGIC`.
"""

import math
from typing import NamedTuple

from objectives.container.graphs import (
    FLOAT,
    INT4,
    INT8,
    INT32,
    INT64,
    attribute,
    field,
    float_attribute,
    integer_attribute,
    integers_attribute,
    number_field,
    value_info,
    varint,
)
from objectives.container.graphs import (
    TYPICAL as FIRST,
)

UINT8, UINT4, UINT2 = 2, 21, 25
"""TensorProto.DataType of codes."""
BITS = {FLOAT: 32, INT8: 8, INT4: 4, INT64: 64, UINT8: 8, UINT4: 4, UINT2: 2}
OPSETS = {INT4: 21, UINT4: 21, UINT2: 25}
"""Other types are in opset 20."""


Layers = list[tuple[str, list[int]]]
"""Names and shapes of weights."""


class _Form(NamedTuple):
    """How the layers of a network are stored."""

    weight_type: int
    entries: int
    """Of a codebook; 0 if there is none."""
    is_per_channel: bool = False
    bias_type: int = INT8


def typical_graphs() -> bytes:
    """Return graphs one behind the other."""
    dense = [("1", [300, 784]), ("3", [100, 300]), ("5", [10, 100])]
    small = [("conv", [12, 1, 3, 3]), ("dense", [10, 2028])]
    caffe = [
        ("conv1", [20, 1, 5, 5]),
        ("conv2", [50, 20, 5, 5]),
        ("dense1", [500, 800]),
        ("dense2", [10, 500]),
    ]
    usual = [
        ("conv1", [8, 1, 3, 3]),
        ("conv2", [16, 8, 3, 3]),
        ("fc1", [32, 400]),
        ("fc2", [10, 32]),
    ]
    networks = [
        _Network(_Form(INT8, 0, is_per_channel=True, bias_type=FLOAT), small, "behind"),
        _Network(_Form(INT4, 0, is_per_channel=True, bias_type=FLOAT), dense),
        _Network(_Form(UINT8, 32), usual, "before"),
        _Network(_Form(INT8, 0), usual, "before"),
        _Network(_Form(UINT4, 16), dense),
        _Network(_Form(UINT2, 4), caffe),
        _Network(_Form(INT8, 0), dense),
        _Network(_Form(INT8, 0), caffe),
        _Network(_Form(INT8, 0), small, "behind"),
        _Network(_Form(UINT4, 16), small, "behind"),
        _Network(_Form(UINT4, 16), caffe),
        _Network(_Form(UINT2, 4), dense),
    ]
    return b"".join(network.to_bytes() for network in networks)


class _Network:
    """A network of convolutions and dense layers of these names and shapes.

    `relu` says where a convolution has one: "before" its pooling or "behind" it.
    """

    def __init__(self, form: _Form, layers: Layers, relu: str = "") -> None:
        self._form = form
        self._nodes = self._tensors = self._numbers = b""
        self._counts: dict[str, int] = {}
        self._source, self._is_flat = "input", False
        self._relu = relu
        for name, shape in layers:
            if len(shape) > 2:
                self._add_convolution(name, shape)
            else:
                self._add_dense(name, shape, is_last=name == layers[-1][0])

    def to_bytes(self) -> bytes:
        ends = field(11, value_info("input", [1, 28, 28])) + field(12, value_info("logits", [10]))
        graph = self._nodes + field(2, b"g") + self._tensors + self._numbers + ends
        opset = number_field(2, OPSETS.get(self._form.weight_type, 20))
        return number_field(1, 10) + field(7, graph) + field(8, field(1, b"") + opset)

    def _add_convolution(self, name: str, shape: list[int]) -> None:
        inputs = self._stored(name, shape)
        self._node(
            "Conv",
            inputs,
            self._numbered("conv2d"),
            integer_attribute("group", 1),
            *_sides(shape[-1], 1, 0),
        )
        if self._relu == "before":
            self._node("Relu", [self._source], self._numbered("relu"))
        pads, *others = _sides(2, 2, 1)
        order, ceil = integer_attribute("storage_order", 0), integer_attribute("ceil_mode", 0)
        self._node(
            "MaxPool", [self._source], self._numbered("max_pool2d"), order, pads, ceil, *others
        )
        if self._relu == "behind":
            self._node("Relu", [self._source], self._numbered("relu"))

    def _add_dense(self, name: str, shape: list[int], *, is_last: bool) -> None:
        if not self._is_flat:
            self._node(
                "Reshape", [self._source, "val_6"], "view", integer_attribute("allowzero", 1)
            )
            self._is_flat = True
            wanted = b"\xff" * 8 + shape[1].to_bytes(8, "little")
            self._shape = _initializer("val_6", INT64, [2], wanted)
        inputs = self._stored(name, shape)
        target = "logits" if is_last else self._numbered("linear")
        factors = [float_attribute("beta"), integer_attribute("transB", 1)]
        factors += [float_attribute("alpha"), integer_attribute("transA", 0)]
        self._node("Gemm", inputs, target, *factors)
        if not is_last:
            self._node("Relu", [self._source], self._numbered("relu"))
        else:
            self._tensors += self._shape

    def _stored(self, name: str, shape: list[int]) -> list[str]:
        """Add input, weight and bias of a layer as the form has them; return their names."""
        form, source = self._form, self._source
        weight, bias = f"{name}.weight", f"{name}.bias"
        self._tensors += _initializer(weight, form.weight_type, shape)
        if form.entries:
            book, codes = f"{weight}_codebook", f"{weight}_i"
            self._node("Cast", [weight], codes, integer_attribute("to", INT32))
            self._node("Gather", [book, codes], f"{weight}_f")
            self._numbers += _initializer(book, FLOAT, [form.entries])
        else:
            scales = [shape[0], *[1] * (len(shape) - 1)] if form.is_per_channel else []
            self._scale(weight, scales)
        self._tensors += _initializer(bias, form.bias_type, shape[:1])
        if form.bias_type == FLOAT:
            return [source, f"{weight}_f", bias]
        self._scale(bias, [1])
        return [source, f"{weight}_f", f"{bias}_f"]

    def _scale(self, name: str, shape: list[int]) -> None:
        self._node("Cast", [name], f"{name}_i", integer_attribute("to", FLOAT))
        self._node("Mul", [f"{name}_i", f"{name}_scale"], f"{name}_f")
        self._numbers += _initializer(f"{name}_scale", FLOAT, shape)

    def _numbered(self, name: str) -> str:
        """Return the name with a number, as torch's exporter numbers all but the first."""
        count = self._counts[name] = self._counts.get(name, -1) + 1
        return f"{name}_{count}" if count else name

    def _node(self, operator: str, inputs: list[str], output: str, *attributes: bytes) -> None:
        """Add a node; the next one reads it."""
        names = b"".join(field(1, name.encode()) for name in inputs) + field(2, output.encode())
        self._nodes += field(1, names + field(4, operator.encode()) + b"".join(attributes))
        self._source = output


def _sides(kernel: int, stride: int, first: int) -> list[bytes]:
    """Return the attributes of a convolution or, with the dilations first, of pooling."""
    found = [
        integers_attribute("pads", [0] * 4),
        attribute("auto_pad", field(4, b"NOTSET"), 3),
        integers_attribute("strides", [stride] * 2),
        integers_attribute("dilations", [1, 1]),
        integers_attribute("kernel_shape", [kernel] * 2),
    ]
    return [found[3], b"".join(found[:3]), found[4]] if first else found


def _initializer(name: str, data_type: int, shape: list[int], values: bytes = b"") -> bytes:
    """Return a tensor, its values cut out if they are a weight's."""
    size = len(values) or -(-math.prod(shape) * BITS[data_type] // 8)
    if size < 16:
        values = bytes(size)
    head = b"".join(number_field(1, side) for side in shape) + number_field(2, data_type)
    head += field(8, name.encode()) + varint(9 << 3 | 2) + varint(size)
    return varint(5 << 3 | 2) + varint(len(head) + size) + head + values


TYPICAL = FIRST + typical_graphs()
