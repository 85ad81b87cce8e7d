"""Edit an exported ONNX graph so that layers are stored in their formats."""

from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor

from objectives.errors import MeasurementError
from objectives.onnx_types import (
    CODE_TYPES,
    INPUT_TYPES,
    INTEGER_TYPES,
    LEAST_OPSET,
    integer_tensor,
)
from objectives.state import LayerFormat


class GraphEditor:
    """A float graph whose layers are put into their formats; `finish` writes them into the graph.

    Nodes stay in topological order: what is new stands before the first node that reads it.
    """

    def __init__(self, graph: GraphProto) -> None:
        self._graph = graph
        self._nodes = list(graph.node)
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.opset = 0
        """The least opset that has every type that is used."""
        self._quantized: dict[tuple[str, bytes], str] = {}  # by what is quantized and how

    def replace_weight(self, layer: str, exported: Tensor, weight: Tensor) -> None:
        """Put `weight` where `exported`, of the same shape, is, and name it as the network does.

        The exporter transposes and renames the weight of a dense layer whose input has more than
        two axes, for MatMul; here a Transpose is put behind the weight instead.
        """
        name = f"{layer}.weight"
        stored = self._initializers.get(name)
        if stored is None:
            stored = self._find(exported.numpy().T)
            if stored is None:
                raise MeasurementError(
                    f"The exported graph has no weight of layer '{layer}': the network does not "
                    "call it, or computes with another weight. `--layers` can leave it out."
                )
            transpose = helper.make_node("Transpose", [name], [stored.name], perm=[1, 0])
            self._put_before_readers(transpose)
            self._initializers[name] = stored
        stored.CopyFrom(numpy_helper.from_array(weight.numpy(), name))

    def holds(self, name: str, values: Tensor) -> bool:
        """Return whether the initializer `name` is there and has these `values`."""
        stored = self._initializers.get(name)
        return stored is not None and np.array_equal(numpy_helper.to_array(stored), values.numpy())

    def replace_bias(self, name: str, bias: Tensor) -> None:
        """Put `bias` where the initializer `name` is, if it is there."""
        if name in self._initializers:
            self._initializers[name].CopyFrom(numpy_helper.from_array(bias.numpy(), name))

    def _find(self, values: np.ndarray) -> TensorProto | None:
        """Return the initializer that holds `values`."""
        tensors: list[TensorProto] = [
            tensor
            for tensor in self._graph.initializer
            if tuple(tensor.dims) == values.shape
            and np.array_equal(numpy_helper.to_array(tensor), values)
        ]
        return tensors[0] if tensors else None

    def store_as_float16(self, layer: str) -> None:
        """Store weight and bias of `layer` as float16 behind a Cast."""
        for name in (f"{layer}.weight", f"{layer}.bias"):
            if name in self._initializers:
                values = numpy_helper.to_array(self._initializers[name])
                half = numpy_helper.from_array(values.astype(np.float16), name)
                self._store(name, half, "Cast", to=TensorProto.FLOAT)

    def store_as_integers(self, layer: str, stored: LayerFormat) -> None:
        """Store the weight of `layer` as integers; input and bias in QDQ form if it has them."""
        assert stored.weight_scale is not None
        assert stored.weight_zero_point is not None
        weight, bias = f"{layer}.weight", f"{layer}.bias"
        weight_scale, zero_point = stored.weight_scale.numpy(), stored.weight_zero_point.numpy()
        layer_nodes = self._readers_behind(weight)
        self._dequantize(weight, weight_scale, zero_point, INTEGER_TYPES[stored.bits])
        if stored.input_scale is None or stored.input_zero_point is None:
            return
        for number, node in enumerate(layer_nodes):
            name = f"{layer}.in" if number == 0 else f"{layer}.in{number}"
            self._quantize_input(node, name, stored)
        if bias in self._initializers and all(bias in node.input[2:] for node in layer_nodes):
            zeros = np.zeros_like(zero_point)
            bias_scale = weight_scale * stored.input_scale.numpy()
            self._dequantize(bias, bias_scale, zeros, TensorProto.INT32)

    def store_as_codes(self, layer: str, stored: LayerFormat) -> None:
        """Store the weight as codes behind a Gather from its codebook, its bias as int8.

        Codes take 2, 4, 8 or 16 bits, the fewest that there are for so many entries. The numbers
        of blocks are stored as float16.
        """
        assert stored.codebook is not None
        assert stored.codes is not None
        weight, bias = f"{layer}.weight", f"{layer}.bias"
        codebook, shape = stored.codebook.numpy(), self._initializers[weight].dims
        is_shared = codebook.shape[1] == 1  # single numbers, not blocks
        codes = stored.codes.numpy().reshape(shape if is_shared else stored.codes.shape)
        code_type = next(kind for most, kind in CODE_TYPES if len(codebook) <= most)
        entries = codebook[:, 0] if is_shared else codebook.astype(np.float16)
        self._add(f"{weight}_codebook", entries)
        operators = [
            helper.make_node("Cast", [weight], [f"{weight}_i"], to=TensorProto.INT32),
            helper.make_node("Gather", [f"{weight}_codebook", f"{weight}_i"], [f"{weight}_f"]),
        ]
        if not is_shared:
            self._add(f"{weight}_shape", np.array(shape, dtype=np.int64))
            operators[1].output[0] = f"{weight}_b"
            inputs = [f"{weight}_b", f"{weight}_shape"]
            operators += [
                helper.make_node("Reshape", inputs, [f"{weight}_h"]),
                helper.make_node("Cast", [f"{weight}_h"], [f"{weight}_f"], to=TensorProto.FLOAT),
            ]
        self._store_behind(weight, integer_tensor(weight, codes, code_type), operators)
        self.opset = max(self.opset, LEAST_OPSET.get(code_type, 0))
        if bias in self._initializers and stored.bias_scale is not None:
            scale = stored.bias_scale.numpy()
            integers = np.rint(numpy_helper.to_array(self._initializers[bias]) / scale)
            self._add(f"{bias}_scale", scale)
            as_int8 = integer_tensor(bias, integers, TensorProto.INT8)
            self._store(bias, as_int8, "DequantizeLinear", f"{bias}_scale")

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
        """Write the edited nodes into the graph."""
        copies = [NodeProto.FromString(node.SerializeToString()) for node in self._nodes]
        self._graph.ClearField("node")
        self._graph.node.extend(copies)

    def _readers(self, name: str) -> list[NodeProto]:
        return [node for node in self._nodes if name in node.input]

    def _readers_behind(self, weight: str) -> list[NodeProto]:
        """Return the nodes that compute with `weight`, looking through a Transpose of it."""
        found = []
        for node in self._readers(weight):
            through = node.op_type == "Transpose"
            found += self._readers(node.output[0]) if through else [node]
        return found

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
            self._graph.initializer.append(integer_tensor(parameters[1], zero_point, integer_type))
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
            place = self._nodes.index(node)
            self._nodes[place:place] = operators
            self._quantized[key] = name
        node.input[0] = self._quantized[key]

    def _dequantize(
        self, name: str, scale: np.ndarray, zero_point: np.ndarray, integer_type: int
    ) -> None:
        """Store the initializer `name` as integers, with one scale if all are equal."""
        values = numpy_helper.to_array(self._initializers[name])
        shape = (-1, *[1] * (values.ndim - 1))
        integers = np.rint(values / scale.reshape(shape)) + zero_point.reshape(shape)
        per_channel: dict[str, int] = {"axis": 0}
        if len(scale) > 1 and (scale == scale[0]).all() and (zero_point == zero_point[0]).all():
            scale, zero_point, per_channel = scale[0], zero_point[0], {}
        parameters = [f"{name}_scale", f"{name}_zero"]
        self._add(parameters[0], scale)
        self._graph.initializer.append(integer_tensor(parameters[1], zero_point, integer_type))
        stored = integer_tensor(name, integers, integer_type)
        self._store(name, stored, "DequantizeLinear", *parameters, **per_channel)
        least = LEAST_OPSET.get(integer_type, 0)
        self.opset = max(self.opset, least)

    def _store(
        self, name: str, stored: TensorProto, operator: str, *parameters: str, **attributes: Any
    ) -> None:
        """Put `stored` in the place of the initializer `name`, read through `operator`."""
        node = helper.make_node(operator, [name, *parameters], [f"{name}_f"], **attributes)
        self._store_behind(name, stored, [node])

    def _store_behind(self, name: str, stored: TensorProto, operators: list[NodeProto]) -> None:
        """Put `stored` in the place of the initializer `name`, read through a row of operators."""
        for node in self._readers(name):
            position = list(node.input).index(name)
            node.input[position] = operators[-1].output[0]
        self._put_before_readers(*operators)
        self._initializers[name].CopyFrom(stored)

    def _put_before_readers(self, *new: NodeProto) -> None:
        """Insert a row of nodes before the first reader of what the last of them gives."""
        place = self._nodes.index(self._readers(new[-1].output[0])[0])
        self._nodes[place:place] = new

    def _add(self, name: str, values: np.ndarray) -> None:
        self._graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
