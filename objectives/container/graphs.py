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
        shape = _tensor("val_5", INT64, [2], b"\xff" * 8 + b"\x10\x03" + bytes(6))
        ends = _field(11, _value("input", [1, 28, 28])) + _field(12, _value("logits", [10]))
        graph = self._nodes + _field(2, b"g") + self._tensors + shape + self._scales + ends
        opset = _number(2, 21 if self._form == WEIGHTS else 20)
        return _number(1, 10) + _field(7, graph) + _field(8, _field(1, b"") + opset)

    def _add_convolution(self, name: str) -> None:
        inputs = self._stored(name, [20, 1, 5, 5])
        self._node("Conv", inputs, self._numbered("conv2d"), _integer("group", 1), _window(5, 1))
        if self._form != PER_TENSOR:
            self._node("Relu", [self._source], self._numbered("relu"))
        order, ceil = _integer("storage_order", 0), _integer("ceil_mode", 0)
        pooled = self._numbered("max_pool2d")
        self._node("MaxPool", [self._source], pooled, order, ceil, _window(2, 2))

    def _add_dense(self, name: str, *, is_last: bool) -> None:
        if not self._is_flat:
            self._node("Reshape", [self._source, "val_5"], "view", _integer("allowzero", 1))
            self._is_flat = True
        inputs = self._stored(name, [300, 784])
        target = "logits" if is_last else self._numbered("linear")
        factors = _float("beta"), _integer("transB", 1), _float("alpha"), _integer("transA", 0)
        self._node("Gemm", inputs, target, *factors)
        if not is_last:
            self._node("Relu", [self._source], self._numbered("relu"))

    def _stored(self, name: str, shape: list[int]) -> list[str]:
        """Add input, weight and bias of a layer as the form has them; return their names."""
        source, weight, bias = self._source, f"{name}.weight", f"{name}.bias"
        if self._form == HALF:
            for tensor, dims in ((weight, shape), (bias, shape[:1])):
                self._node("Cast", [tensor], f"{tensor}_f", _integer("to", FLOAT))
                self._tensors += _tensor(tensor, FLOAT16, dims)
            return [source, f"{weight}_f", f"{bias}_f"]
        self._dequantize(weight, INT4 if self._form == WEIGHTS else INT8, shape)
        if self._form == WEIGHTS:
            self._tensors += _tensor(bias, FLOAT, shape[:1])
            return [source, f"{weight}_f", bias]
        read = f"{name}.in"
        scale, zero = f"{read}_scale", f"{read}_zero"
        self._scales += _tensor(scale, FLOAT, []) + _tensor(zero, UINT8, [])
        self._node("QuantizeLinear", [source, scale, zero], f"{read}_q")
        self._node("DequantizeLinear", [f"{read}_q", scale, zero], read)
        self._dequantize(bias, INT32, shape[:1])
        return [read, f"{weight}_f", f"{bias}_f"]

    def _dequantize(self, name: str, data_type: int, shape: list[int]) -> None:
        scale, zero = f"{name}_scale", f"{name}_zero"
        channels, axis = shape[:1], _integer("axis", 0)
        if self._form == PER_TENSOR:
            channels, axis = [], b""
        self._tensors += _tensor(name, data_type, shape)
        self._scales += _tensor(scale, FLOAT, channels) + _tensor(zero, data_type, channels)
        self._node("DequantizeLinear", [name, scale, zero], f"{name}_f", axis)

    def _numbered(self, name: str) -> str:
        """Return the name with a number, as torch's exporter numbers all but the first."""
        count = self._counts[name] = self._counts.get(name, -1) + 1
        return f"{name}_{count}" if count else name

    def _node(self, operator: str, inputs: list[str], output: str, *attributes: bytes) -> None:
        """Add a node; the next one reads it."""
        names = b"".join(_field(1, name.encode()) for name in inputs) + _field(2, output.encode())
        self._nodes += _field(1, names + _field(4, operator.encode()) + b"".join(attributes))
        self._source = output


def _window(kernel: int, stride: int) -> bytes:
    return b"".join(
        [
            _integers("pads", [0] * 4),
            _attribute("auto_pad", _field(4, b"NOTSET"), 3),
            _integers("strides", [stride] * 2),
            _integers("dilations", [1, 1]),
            _integers("kernel_shape", [kernel] * 2),
        ]
    )


def _attribute(name: str, value: bytes, kind: int) -> bytes:
    return _field(5, _field(1, name.encode()) + value + _number(20, kind))


def _float(name: str) -> bytes:
    return _attribute(name, b"\x15\x00\x00\x80?", 1)


def _integer(name: str, value: int) -> bytes:
    return _attribute(name, _number(3, value), 2)


def _integers(name: str, values: list[int]) -> bytes:
    return _attribute(name, b"".join(_number(8, value) for value in values), 7)


def _tensor(name: str, data_type: int, shape: list[int], values: bytes = b"") -> bytes:
    dims = b"".join(_number(1, size) for size in shape)
    content = dims + _number(2, data_type) + _field(8, name.encode()) + _field(9, values)
    return _field(5, content)


def _value(name: str, shape: list[int]) -> bytes:
    dims = _field(1, _field(2, b"N")) + b"".join(_field(1, _number(1, size)) for size in shape)
    tensor = _field(1, _number(1, 1) + _field(2, dims))
    return _field(1, name.encode()) + _field(2, tensor)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    high = value >> 7
    return bytes([value & 127 | 128]) + _varint(high) if high else bytes([value])


TYPICAL = typical_graph()
