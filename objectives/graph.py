"""Edit an exported ONNX graph so that layers are stored in their formats."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor

from models.layers import Layer
from objectives.fold import FoldableNorm
from objectives.onnx_types import (
    CODE_TYPES,
    INPUT_TYPES,
    INTEGER_TYPES,
    LEAST_OPSET,
    integer_tensor,
)
from objectives.products import Product
from objectives.state import LayerFormat
from objectives.stored_weights import CODEBOOK


class GraphEditor:
    """A float graph whose layers are put into their formats; `finish` writes them into the graph.

    Nodes stay in topological order: what is new stands before the first node that reads it.

    Args:
        graph: As `objectives.exporter` gives it: the tensors of the network's state are inputs.
        weights: These tensors, which become initializers, by name; further ones are left out.
    """

    def __init__(self, graph: GraphProto, weights: Mapping[str, Tensor]) -> None:
        self._graph = graph
        self._nodes = list(graph.node)
        self._tensors: dict[str, np.ndarray | TensorProto] = {
            value.name: weights[value.name].contiguous().numpy() for value in graph.input[1:]
        }
        """What will be an initializer, by name; a tensor's own until it is stored otherwise."""
        self._tensors |= {tensor.name: tensor for tensor in graph.initializer}
        self.opset = 0
        """The least opset that has every type that is used."""
        self._renamed: dict[str, str] = {}  # what layers give whose norm was dropped
        self._quantized: dict[tuple[str, bytes], str] = {}  # by what is quantized and how

    def drop_norm(self, norm: FoldableNorm, bias: Tensor) -> None:
        """Let a layer give what a folded norm behind it would: it gets its `bias`."""
        (node,) = self._readers(norm.mean)
        layer = next(each for each in self._nodes if node.input[0] in each.output)
        name = f"{norm.layer}.bias"
        if name not in layer.input:
            layer.input.append(name)
        self._tensors[name] = bias.numpy()
        self._renamed[layer.output[0]] = node.output[0]
        layer.output[0] = node.output[0]
        self._nodes.remove(node)

    def store_as_float16(self, layer: Layer) -> None:
        """Store weight and bias of `layer` as float16 behind a Cast."""
        for name in (layer.weight_name, layer.bias_name):
            values = self._floats(name)
            if values is not None:
                half = numpy_helper.from_array(values.astype(np.float16), name)
                self._store(half, "Cast", to=TensorProto.FLOAT)

    def store_as_integers(
        self, layer: Layer, name: str, stored: LayerFormat, products: Sequence[Product]
    ) -> None:
        """Store the weight of `layer`, called `name`, as integers.

        Where the format has them, the inputs of its `products` become integers, too, and so does
        the bias that they add.
        """
        assert stored.weight_scale is not None
        assert stored.weight_zero_point is not None
        weight, bias = layer.weight_name, layer.bias_name
        weight_scale, zero_point = stored.weight_scale.numpy(), stored.weight_zero_point.numpy()
        integer_type = INTEGER_TYPES[stored.bits]
        if integer_type == TensorProto.INT2 and self._is_transposed(weight):
            integer_type = TensorProto.INT4  # ONNX Runtime 1.32 transposes no INT2
        self._dequantize(weight, weight_scale, zero_point, integer_type)
        if stored.input_scale is None or stored.input_zero_point is None:
            return
        outputs = [self._renamed.get(each.output, each.output) for each in products]
        nodes = [node for node in self._nodes if node.output[0] in outputs]
        for number, node in enumerate(nodes):
            self._quantize_input(node, f"{name}.in{number or ''}", stored)
        if bias is not None and all(node in nodes for node in self._readers(bias)):
            zeros = np.zeros_like(zero_point)
            bias_scale = weight_scale * stored.input_scale.numpy()
            self._dequantize(bias, bias_scale, zeros, TensorProto.INT32)

    def store_as_codes(self, layer: Layer, stored: LayerFormat) -> None:
        """Store the weight as codes behind a Gather from its codebook, its bias as int8.

        Codes take 2, 4, 8 or 16 bits, the fewest that there are for so many entries. The numbers
        of blocks are stored as float16.
        """
        assert stored.codebook is not None
        assert stored.codes is not None
        weight = layer.weight_name
        codebook, shape = stored.codebook.numpy(), tuple(layer.weight.shape)
        is_shared = codebook.shape[1] == 1  # single numbers, not blocks
        codes = stored.codes.numpy().reshape(shape if is_shared else stored.codes.shape)
        code_type = next(kind for most, kind in CODE_TYPES if len(codebook) <= most)
        entries = codebook[:, 0] if is_shared else codebook.astype(np.float16)
        self._add(weight + CODEBOOK, entries)
        operators = [
            helper.make_node("Cast", [weight], [f"{weight}_i"], to=TensorProto.INT32),
            helper.make_node("Gather", [weight + CODEBOOK, f"{weight}_i"], [f"{weight}_f"]),
        ]
        if not is_shared:
            self._add(f"{weight}_shape", np.array(shape, dtype=np.int64))
            operators[1].output[0] = f"{weight}_b"
            inputs = [f"{weight}_b", f"{weight}_shape"]
            operators += [
                helper.make_node("Reshape", inputs, [f"{weight}_h"]),
                helper.make_node("Cast", [f"{weight}_h"], [f"{weight}_f"], to=TensorProto.FLOAT),
            ]
        self._store_behind(integer_tensor(weight, codes, code_type), operators)
        self.opset = max(self.opset, LEAST_OPSET.get(code_type, 0))
        bias = self._floats(layer.bias_name)
        if bias is not None and stored.bias_scale is not None:
            scale = stored.bias_scale.numpy()
            self._add(f"{layer.bias_name}_scale", scale)
            as_int8 = integer_tensor(str(layer.bias_name), np.rint(bias / scale), TensorProto.INT8)
            self._store(as_int8, "DequantizeLinear", f"{layer.bias_name}_scale")

    def swap_pool_and_relu(self) -> None:
        """Turn MaxPool -> Relu into Relu -> MaxPool, which is equal.

        ONNX Runtime moves a QuantizeLinear up through MaxPool and into Relu, but not past Relu;
        only in this order does it reach the convolution and make it an integer one.
        """
        for pool in self._nodes:
            if pool.op_type != "MaxPool":
                continue
            readers = self._readers(pool.output[0])
            if len(readers) == 1 and readers[0].op_type == "Relu":
                relu = readers[0]
                attributes = list(pool.attribute)
                pool.ClearField("attribute")
                pool.op_type, relu.op_type = "Relu", "MaxPool"
                relu.attribute.extend(attributes)

    def finish(self) -> None:
        """Write what was edited into the graph; tensors that nobody reads are left out."""
        nodes = [NodeProto.FromString(node.SerializeToString()) for node in self._nodes]
        read = {name for node in nodes for name in node.input}
        (inputs, *_) = self._graph.input
        kept = type(inputs).FromString(inputs.SerializeToString())
        for part in ("input", "node", "initializer"):
            self._graph.ClearField(part)
        self._graph.input.append(kept)
        self._graph.node.extend(nodes)
        for name in list(self._tensors):
            values = self._tensors.pop(name)
            if name in read:
                if isinstance(values, np.ndarray):
                    values = numpy_helper.from_array(values, name)
                self._graph.initializer.append(values)

    def _readers(self, name: str) -> list[NodeProto]:
        return [node for node in self._nodes if name in node.input]

    def _is_transposed(self, name: str) -> bool:
        return any(node.op_type == "Transpose" for node in self._readers(name))

    def _quantize_input(self, node: NodeProto, name: str, stored: LayerFormat) -> None:
        """Put a QuantizeLinear and a DequantizeLinear before the node's input, shared if equal."""
        assert stored.input_scale is not None
        assert stored.input_zero_point is not None
        source, scale = node.input[0], stored.input_scale.numpy()
        zero_point, (low, high) = stored.input_zero_point.numpy(), stored.input_limits
        key = source, scale.tobytes() + zero_point.tobytes()
        if key not in self._quantized:
            integer_type = INPUT_TYPES[stored.input_bits] if low < 0 else TensorProto.UINT8
            parameters = [f"{name}_scale", f"{name}_zero"]
            self._add(parameters[0], scale)
            self._tensors[parameters[1]] = integer_tensor(parameters[1], zero_point, integer_type)
            self.opset = max(self.opset, LEAST_OPSET.get(integer_type, 0))
            integers = f"{name}_q"
            operators = [
                helper.make_node("QuantizeLinear", [source, *parameters], [integers]),
                helper.make_node("DequantizeLinear", [integers, *parameters], [name]),
            ]
            if stored.input_bits < 8:
                limits = [f"{name}_low", f"{name}_high"]
                for limit, value in zip(limits, (low, high), strict=True):
                    self._add(limit, value * scale)
                clipped = f"{name}_c"
                operators.insert(0, helper.make_node("Clip", [source, *limits], [clipped]))
                operators[1].input[0] = clipped
            place = self._nodes.index(self._readers(source)[0])
            self._nodes[place:place] = operators
            self._quantized[key] = name
        node.input[0] = self._quantized[key]

    def _floats(self, name: str | None) -> np.ndarray | None:
        """Return the values of a tensor of the network that is not stored otherwise yet."""
        values = None if name is None else self._tensors.get(name)
        return values if isinstance(values, np.ndarray) else None

    def _dequantize(
        self, name: str, scale: np.ndarray, zero_point: np.ndarray, integer_type: int
    ) -> None:
        """Store the tensor `name` as integers, with one scale if all are equal."""
        values = self._floats(name)
        if values is None:
            return
        shape = (-1, *[1] * (values.ndim - 1))
        integers = np.rint(values / scale.reshape(shape)) + zero_point.reshape(shape)
        per_channel: dict[str, int] = {"axis": 0}
        if len(scale) > 1 and (scale == scale[0]).all() and (zero_point == zero_point[0]).all():
            scale, zero_point, per_channel = scale[0], zero_point[0], {}
        parameters = [f"{name}_scale", f"{name}_zero"]
        self._add(parameters[0], scale)
        self._tensors[parameters[1]] = integer_tensor(parameters[1], zero_point, integer_type)
        stored = integer_tensor(name, integers, integer_type)
        self._store(stored, "DequantizeLinear", *parameters, **per_channel)
        least = LEAST_OPSET.get(integer_type, 0)
        self.opset = max(self.opset, least)

    def _store(
        self, stored: TensorProto, operator: str, *parameters: str, **attributes: Any
    ) -> None:
        """Put `stored` in the place of the tensor of its name, read through `operator`."""
        name = stored.name
        node = helper.make_node(operator, [name, *parameters], [f"{name}_f"], **attributes)
        self._store_behind(stored, [node])

    def _store_behind(self, stored: TensorProto, operators: list[NodeProto]) -> None:
        """Put `stored` in the place of the tensor of its name, read through a row of operators."""
        readers = self._readers(stored.name)
        for node in readers:
            for position, read in enumerate(node.input):
                if read == stored.name:
                    node.input[position] = operators[-1].output[0]
        place = self._nodes.index(readers[0])
        self._nodes[place:place] = operators
        self._tensors[stored.name] = stored

    def _add(self, name: str, values: np.ndarray) -> None:
        self._tensors[name] = numpy_helper.from_array(np.asarray(values), name)
