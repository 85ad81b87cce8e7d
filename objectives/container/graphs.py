"""A typical ONNX graph: what the model of `text` reads before it codes one.

These bytes belong to the format: encoder and decoder must have the same. They are written here as
protobuf would, for layers of small networks in each form that `stages.export` gives them, without
any number that was trained. A change here needs a new `format.MAGIC`.
"""

HALF, WEIGHTS, PER_TENSOR, PER_CHANNEL = range(4)
"""float16; weights as integers; all as integers with one scale, or one for each channel."""
FLOAT, UINT8, INT8, INT32, INT64, FLOAT16, INT4 = 1, 2, 3, 6, 7, 10, 22
"""TensorProto.DataType."""


def typical_graph() -> bytes:
    """Return the graphs of four small networks, one behind the other."""
    networks = [
        _Graph(HALF, ["conv", "dense"]),
        _Graph(WEIGHTS, ["1", "3", "5"]),
        _Graph(PER_TENSOR, ["conv1", "conv2", "dense1", "dense2"]),
        _Graph(PER_CHANNEL, ["1", "3", "5"]),
    ]
    return b"".join(network.to_bytes() for network in networks)


class _Graph:
    """A network of convolutions and dense layers with these names."""

    def __init__(self, form: int, names: list[str]) -> None:
        self._form = form
        self._nodes = self._tensors = self._scales = b""
        self._counts: dict[str, int] = {}
        self._source = "input"
        self._is_flat = False
        for name in names:
            if name.startswith("conv"):
                self._add_convolution(name)
            else:
                self._add_dense(name, is_last=name == names[-1])

    def to_bytes(self) -> bytes:
        shape = initializer("val_5", INT64, [2], b"\xff" * 8 + b"\x10\x03" + bytes(6))
        ends = field(11, value_info("input", [1, 28, 28])) + field(12, value_info("logits", [10]))
        graph = self._nodes + field(2, b"g") + self._tensors + shape + self._scales + ends
        opset = number_field(2, 21 if self._form == WEIGHTS else 20)
        return number_field(1, 10) + field(7, graph) + field(8, field(1, b"") + opset)

    def _add_convolution(self, name: str) -> None:
        inputs = self._stored(name, [20, 1, 5, 5])
        self._node(
            "Conv", inputs, self._numbered("conv2d"), integer_attribute("group", 1), window(5, 1)
        )
        if self._form != PER_TENSOR:
            self._node("Relu", [self._source], self._numbered("relu"))
        order, ceil = integer_attribute("storage_order", 0), integer_attribute("ceil_mode", 0)
        pooled = self._numbered("max_pool2d")
        self._node("MaxPool", [self._source], pooled, order, ceil, window(2, 2))

    def _add_dense(self, name: str, *, is_last: bool) -> None:
        if not self._is_flat:
            self._node(
                "Reshape", [self._source, "val_5"], "view", integer_attribute("allowzero", 1)
            )
            self._is_flat = True
        inputs = self._stored(name, [300, 784])
        target = "logits" if is_last else self._numbered("linear")
        factors = (
            float_attribute("beta"),
            integer_attribute("transB", 1),
            float_attribute("alpha"),
            integer_attribute("transA", 0),
        )
        self._node("Gemm", inputs, target, *factors)
        if not is_last:
            self._node("Relu", [self._source], self._numbered("relu"))

    def _stored(self, name: str, shape: list[int]) -> list[str]:
        """Add input, weight and bias of a layer as the form has them; return their names."""
        source, weight, bias = self._source, f"{name}.weight", f"{name}.bias"
        if self._form == HALF:
            for tensor, dims in ((weight, shape), (bias, shape[:1])):
                self._node("Cast", [tensor], f"{tensor}_f", integer_attribute("to", FLOAT))
                self._tensors += initializer(tensor, FLOAT16, dims)
            return [source, f"{weight}_f", f"{bias}_f"]
        self._dequantize(weight, INT4 if self._form == WEIGHTS else INT8, shape)
        if self._form == WEIGHTS:
            self._tensors += initializer(bias, FLOAT, shape[:1])
            return [source, f"{weight}_f", bias]
        read = f"{name}.in"
        scale, zero = f"{read}_scale", f"{read}_zero"
        self._scales += initializer(scale, FLOAT, []) + initializer(zero, UINT8, [])
        self._node("QuantizeLinear", [source, scale, zero], f"{read}_q")
        self._node("DequantizeLinear", [f"{read}_q", scale, zero], read)
        self._dequantize(bias, INT32, shape[:1])
        return [read, f"{weight}_f", f"{bias}_f"]

    def _dequantize(self, name: str, data_type: int, shape: list[int]) -> None:
        scale, zero = f"{name}_scale", f"{name}_zero"
        channels, axis = shape[:1], integer_attribute("axis", 0)
        if self._form == PER_TENSOR:
            channels, axis = [], b""
        self._tensors += initializer(name, data_type, shape)
        self._scales += initializer(scale, FLOAT, channels) + initializer(
            zero, data_type, channels
        )
        self._node("DequantizeLinear", [name, scale, zero], f"{name}_f", axis)

    def _numbered(self, name: str) -> str:
        """Return the name with a number, as torch's exporter numbers all but the first."""
        count = self._counts[name] = self._counts.get(name, -1) + 1
        return f"{name}_{count}" if count else name

    def _node(self, operator: str, inputs: list[str], output: str, *attributes: bytes) -> None:
        """Add a node; the next one reads it."""
        names = b"".join(field(1, name.encode()) for name in inputs) + field(2, output.encode())
        self._nodes += field(1, names + field(4, operator.encode()) + b"".join(attributes))
        self._source = output


def window(kernel: int, stride: int) -> bytes:
    """Return the attributes of a convolution or pooling."""
    return b"".join(
        [
            integers_attribute("pads", [0] * 4),
            attribute("auto_pad", field(4, b"NOTSET"), 3),
            integers_attribute("strides", [stride] * 2),
            integers_attribute("dilations", [1, 1]),
            integers_attribute("kernel_shape", [kernel] * 2),
        ]
    )


def attribute(name: str, value: bytes, kind: int) -> bytes:
    """Return an attribute of a node."""
    return field(5, field(1, name.encode()) + value + number_field(20, kind))


def float_attribute(name: str) -> bytes:
    """Return an attribute that is 1."""
    return attribute(name, b"\x15\x00\x00\x80?", 1)


def integer_attribute(name: str, value: int) -> bytes:
    """Return an attribute that is an integer."""
    return attribute(name, number_field(3, value), 2)


def integers_attribute(name: str, values: list[int]) -> bytes:
    """Return an attribute that is some integers."""
    return attribute(name, b"".join(number_field(8, value) for value in values), 7)


def initializer(name: str, data_type: int, shape: list[int], values: bytes = b"") -> bytes:
    """Return a tensor of a graph."""
    dims = b"".join(number_field(1, size) for size in shape)
    content = dims + number_field(2, data_type) + field(8, name.encode()) + field(9, values)
    return field(5, content)


def value_info(name: str, shape: list[int]) -> bytes:
    """Return an input or output, whose first axis is free."""
    dims = field(1, field(2, b"N")) + b"".join(field(1, number_field(1, size)) for size in shape)
    tensor = field(1, number_field(1, 1) + field(2, dims))
    return field(1, name.encode()) + field(2, tensor)


def field(number: int, content: bytes) -> bytes:
    """Return a field of bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def number_field(number: int, value: int) -> bytes:
    """Return a field that is a number."""
    return varint(number << 3) + varint(value)


def varint(value: int) -> bytes:
    """Return a number as protobuf writes it."""
    high = value >> 7
    return bytes([value & 127 | 128]) + varint(high) if high else bytes([value])


TYPICAL = typical_graph()
