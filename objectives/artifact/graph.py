"""Edit an exported ONNX graph so that layers are stored in their formats."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor

from models.layers import Layer
from objectives.artifact.onnx_types import (
    CODE_TYPES,
    INPUT_TYPES,
    INTEGER_TYPES,
    LEAST_OPSET,
    integer_tensor,
)
from objectives.artifact.stored_weights import CODEBOOK
from objectives.network.graph_inputs import given_inputs, state_inputs
from objectives.network.integers import INTEGER_OPERATORS
from objectives.network.state import ActivationFormat, LayerFormat
from objectives.network.value_graph import ValueGraph

LARGEST_INTEGER = 2**31 - 1

EXACT = "@e"
"""Behind the name of a value that is returned rounded: what it was before."""


class GraphEditor:
    """A float graph whose layers are put into their formats; `finish` writes them into the graph.

    Nodes stay in topological order: what is new stands before the first node that reads it.

    Args:
        graph: As `Context.graph` gives it: the tensors of the network's state are inputs.
        weights: These tensors, which become initializers, by name; further ones are left out.
    """

    def __init__(self, graph: GraphProto, weights: Mapping[str, Tensor]) -> None:
        self._graph = graph
        self._nodes = list(graph.node)
        self._tensors: dict[str, np.ndarray | TensorProto] = {
            value.name: weights[value.name].contiguous().numpy() for value in state_inputs(graph)
        }
        """What will be an initializer, by name; a tensor's own until it is stored otherwise."""
        self._tensors |= {tensor.name: tensor for tensor in graph.initializer}
        self.opset = 0
        """The least opset that has every type that is used."""

    def store_as_float16(self, layer: Layer) -> None:
        """Store weight and bias of `layer` as float16 behind a Cast."""
        for name in (layer.weight_name, layer.bias_name):
            values = self._floats(name)
            if values is not None:
                half = numpy_helper.from_array(values.astype(np.float16), name)
                self._store(half, "Cast", to=TensorProto.FLOAT)

    def round_values(self, formats: Mapping[str, ActivationFormat]) -> None:
        """Put a QuantizeLinear and a DequantizeLinear behind each of these values.

        And again behind what moves such numbers, where an operator on integers reads them.
        """
        graph = ValueGraph(self._graph)
        again = {}  # where numbers of a value are read that was rounded before
        for node in self._nodes:
            if node.op_type in INTEGER_OPERATORS:
                for name in node.input:
                    moved = graph.moved_from(name, pooled=True)
                    source = next((each for each in moved if each in formats), None)
                    if source is not None and source != name:
                        again[name] = source
        for name, stored in formats.items():
            self._round(name, f"{name}@", stored)
        for name, source in again.items():
            self._round(name, f"{source}@", formats[source])

    def store_as_integers(self, layer: Layer, stored: LayerFormat) -> None:
        """Store the weight of `layer` as integers, and its bias if it multiplies integers.

        Integer kernels take weights of 8 bits or more; narrower ones are widened when the file is
        opened. So are all others, to floats, where the layer multiplies floats.
        """
        assert stored.weight_scale is not None
        assert stored.weight_zero_point is not None
        weight, bias = layer.weight_name, layer.bias_name
        weight_scale, zero_point = stored.weight_scale.numpy(), stored.weight_zero_point.numpy()
        integer_type = INTEGER_TYPES[stored.bits]
        if stored.input_scale is None:
            self._unpack(weight, weight_scale, zero_point, integer_type)
            self._store_bias_as_int8(layer, stored)
            return
        self._dequantize(weight, weight_scale, zero_point, integer_type)
        if bias is not None:
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
        self._store_bias_as_int8(layer, stored)

    def _store_bias_as_int8(self, layer: Layer, stored: LayerFormat) -> None:
        """Do so if the format says in which steps."""
        bias = self._floats(layer.bias_name)
        if bias is not None and stored.bias_scale is not None:
            name, scale = str(layer.bias_name), stored.bias_scale.numpy()
            self._unpack(name, scale, np.zeros_like(scale), TensorProto.INT8)

    def swap_pool_and_relu(self) -> None:
        """Turn MaxPool -> Relu into Relu -> MaxPool, which is equal.

        ONNX Runtime moves a QuantizeLinear up through MaxPool and into Relu, but not past Relu;
        only in this order does it reach the convolution and make it an integer one.
        """
        returned = {value.name for value in self._graph.output}
        for pool in self._nodes:
            if pool.op_type != "MaxPool":
                continue
            readers = self._readers(pool.output[0])
            if pool.output[0] in returned:
                continue
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
        given = given_inputs(self._graph)
        kept = [type(value).FromString(value.SerializeToString()) for value in given]
        for part in ("input", "node", "initializer"):
            self._graph.ClearField(part)
        self._graph.input.extend(kept)
        self._graph.node.extend(nodes)
        for name in list(self._tensors):
            values = self._tensors.pop(name)
            if name in read:
                if isinstance(values, np.ndarray):
                    values = numpy_helper.from_array(values, name)
                self._graph.initializer.append(values)

    def _readers(self, name: str) -> list[NodeProto]:
        return [node for node in self._nodes if name in node.input]

    def _round(self, name: str, prefix: str, stored: ActivationFormat) -> None:
        """Let who reads the value `name` read it rounded; parameters are called by `prefix`."""
        scale, (low, high) = stored.scale.numpy(), stored.limits
        integer_type = INPUT_TYPES[stored.bits] if low < 0 else TensorProto.UINT8
        parameters = [f"{prefix}scale", f"{prefix}zero"]
        self._add(parameters[0], scale)
        zero_point = integer_tensor(parameters[1], stored.zero_point.numpy(), integer_type)
        self._tensors[parameters[1]] = zero_point
        self.opset = max(self.opset, LEAST_OPSET.get(integer_type, 0))
        readers = self._readers(name)
        exact, integers, floats = name, f"{name}@q", f"{name}@f"
        if name in {value.name for value in self._graph.output}:  # it is returned rounded, too
            exact, floats = name + EXACT, name
            self._rename_output(name, exact)
        operators = [
            helper.make_node("QuantizeLinear", [exact, *parameters], [integers]),
            helper.make_node("DequantizeLinear", [integers, *parameters], [floats]),
        ]
        if stored.bits < 8:
            limits = [f"{prefix}low", f"{prefix}high"]
            for limit, value in zip(limits, (low, high), strict=True):
                self._add(limit, value * scale)
            operators.insert(0, helper.make_node("Clip", [exact, *limits], [f"{name}@c"]))
            operators[1].input[0] = f"{name}@c"
        self._put_before(readers, name, operators)

    def _rename_output(self, name: str, new_name: str) -> None:
        for node in self._nodes:
            for place, given in enumerate(node.output):
                if given == name:
                    node.output[place] = new_name

    def _floats(self, name: str | None) -> np.ndarray | None:
        """Return the values of a tensor of the network that is not stored otherwise yet."""
        values = None if name is None else self._tensors.get(name)
        return values if isinstance(values, np.ndarray) else None

    def _dequantize(
        self, name: str, scale: np.ndarray, zero_point: np.ndarray, integer_type: int
    ) -> None:
        """Store the tensor `name` as integers for an operator that computes on integers."""
        stored = self._as_integers(name, scale, zero_point, integer_type)
        if stored is None:
            return
        axis: dict[str, Any] = {"axis": 0}
        if _is_one(scale, zero_point):
            scale, zero_point, axis = scale[0], zero_point[0], {}
        wide_type = integer_type
        operators = []
        if integer_type in (TensorProto.INT2, TensorProto.INT4):
            wide_type = TensorProto.INT8
            operators = [helper.make_node("Cast", [name], [f"{name}_i"], to=wide_type)]
        parameters = [f"{name}_scale", f"{name}_zero"]
        self._add(parameters[0], scale)
        self._tensors[parameters[1]] = integer_tensor(parameters[1], zero_point, wide_type)
        read = operators[-1].output[0] if operators else name
        operators.append(
            helper.make_node("DequantizeLinear", [read, *parameters], [f"{name}_f"], **axis)
        )
        self._store_behind(stored, operators)

    def _unpack(
        self, name: str, scale: np.ndarray, zero_point: np.ndarray, integer_type: int
    ) -> None:
        """Store the tensor `name` as integers that a runtime turns to floats when it opens them.

        ONNX Runtime computes once what depends on constants only, but a DequantizeLinear it keeps
        and computes each time.
        """
        stored = self._as_integers(name, scale, zero_point, integer_type)
        if stored is None:
            return
        shape = (-1, *[1] * (len(stored.dims) - 1))
        scale, zero_point = scale.reshape(shape), zero_point.reshape(shape)
        if _is_one(scale, zero_point):
            scale, zero_point = scale.flat[0], zero_point.flat[0]
        operators = [helper.make_node("Cast", [name], [f"{name}_i"], to=TensorProto.FLOAT)]
        if zero_point.any():
            self._add(f"{name}_zero", zero_point.astype(np.float32))
            moved = helper.make_node("Sub", [f"{name}_i", f"{name}_zero"], [f"{name}_m"])
            operators.append(moved)
        self._add(f"{name}_scale", scale)
        factors = [operators[-1].output[0], f"{name}_scale"]
        operators.append(helper.make_node("Mul", factors, [f"{name}_f"]))
        self._store_behind(stored, operators)

    def _as_integers(
        self, name: str, scale: np.ndarray, zero_point: np.ndarray, integer_type: int
    ) -> TensorProto | None:
        """Return the tensor `name` as integers; None if there is none, or they do not fit."""
        values = self._floats(name)
        if values is None:
            return None
        shape = (-1, *[1] * (values.ndim - 1))
        integers = np.rint(values / scale.reshape(shape)) + zero_point.reshape(shape)
        if np.abs(integers).max(initial=0) > LARGEST_INTEGER:
            return None
        self.opset = max(self.opset, LEAST_OPSET.get(integer_type, 0))
        return integer_tensor(name, integers, integer_type)

    def _store(
        self, stored: TensorProto, operator: str, *parameters: str, **attributes: Any
    ) -> None:
        """Put `stored` in the place of the tensor of its name, read through `operator`."""
        name = stored.name
        node = helper.make_node(operator, [name, *parameters], [f"{name}_f"], **attributes)
        self._store_behind(stored, [node])

    def _store_behind(self, stored: TensorProto, operators: list[NodeProto]) -> None:
        """Put `stored` in the place of the tensor of its name, read through a row of operators."""
        self._put_before(self._readers(stored.name), stored.name, operators)
        self._tensors[stored.name] = stored

    def _put_before(
        self, readers: Sequence[NodeProto], name: str, operators: list[NodeProto]
    ) -> None:
        """Let `readers` read what a row of `operators` makes of `name`."""
        for node in readers:
            for position, read in enumerate(node.input):
                if read == name:
                    node.input[position] = operators[-1].output[0]
        place = self._nodes.index(readers[0])
        self._nodes[place:place] = operators

    def _add(self, name: str, values: np.ndarray) -> None:
        self._tensors[name] = numpy_helper.from_array(np.asarray(values), name)


def _is_one(scale: np.ndarray, zero_point: np.ndarray) -> bool:
    """Return whether all channels have the same scale and the same zero point."""
    same = (scale == scale.flat[0]).all() and (zero_point == zero_point.flat[0]).all()
    return bool(same) and scale.size > 1
