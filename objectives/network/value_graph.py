"""Ask an exported graph who gives a value, who reads it, and where layers multiply."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from onnx import GraphProto, NodeProto, helper, numpy_helper

from models.layers import Layer
from objectives.network.graph_inputs import given_inputs, state_inputs

MOVING = {"Expand", "Flatten", "Identity", "Pad", "Reshape", "Slice", "Squeeze", "Transpose"}
MOVING |= {"Unsqueeze"}
"""Operators whose output has the numbers of their first input, and zeros."""

RECTIFIERS = {"Relu", "Clip"}
"""What quantizing does at once."""

PASSING = MOVING | RECTIFIERS | {"MaxPool"}
"""What ONNX Runtime computes on integers wherever it reads some."""


@dataclass(frozen=True, slots=True)
class Product:
    """Where a layer multiplies, by the names of values."""

    taken: str
    """What it reads beside the weight."""
    output: str
    """What it gives."""
    is_convolution: bool


class ValueGraph:
    """A graph to be asked who gives a value and who reads it."""

    def __init__(self, graph: GraphProto) -> None:
        self.nodes = list(graph.node)
        self.producers = {output: node for node in self.nodes for output in node.output}
        self._readers: dict[str, list[NodeProto]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                self._readers.setdefault(name, []).append(node)
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self._inputs = [value.name for value in given_inputs(graph)]
        self._state = {value.name for value in state_inputs(graph)}
        self.outputs = {value.name for value in graph.output}

    def products(self, layers: Mapping[str, Layer]) -> dict[str, list[Product]]:
        """Return where each layer multiplies, of those that do."""
        return {
            name: found
            for name, layer in layers.items()
            if (found := self._products(layer.weight_name))
        }

    def first_layer(self, layers: Mapping[str, Layer]) -> str | None:
        """Return the layer that the input reaches first, None if it reaches none.

        That is the first node, in the order of computing, that reads both what depends on the
        input and a weight, or what is computed of a weight alone. What is before it has no layer.
        """
        reached = set(self._inputs)
        owners = {layer.weight_name: name for name, layer in layers.items()}
        for node in self.nodes:
            owner = next((owners[name] for name in node.input if name in owners), None)
            if not reached.isdisjoint(node.input):
                if owner is not None:
                    return owner
                reached.update(node.output)
            elif owner is not None:
                owners |= dict.fromkeys(node.output, owner)
        return None

    def readers(self, name: str) -> list[NodeProto]:
        """Return the nodes that read a value."""
        return self._readers.get(name, [])

    def is_computed(self, name: str) -> bool:
        """Return whether a value depends on the input: it is no weight, and no constant."""
        return name not in self.constants and name not in self._state

    def moved_from(self, name: str, *, pooled: bool = False) -> Iterator[str]:
        """Yield a value, that whose numbers it moves, and so on; `pooled`: the largest, too."""
        yield name
        while (node := self.producers.get(name)) is not None and (
            (node.op_type in MOVING and self._adds_zeros(node))
            or (pooled and node.op_type == "MaxPool")
        ):
            name = node.input[0]
            yield name

    def given_on(self, name: str) -> Iterator[str]:
        """Yield a value, what a single rectifier makes of it, and so on through what moves it."""
        yield name
        while len(readers := self.readers(name)) == 1 and (
            readers[0].op_type in PASSING and name not in self.outputs
        ):
            name = readers[0].output[0]
            yield name

    def rectified(self, name: str) -> str:
        """Return what a single rectifier makes of a value, or the value."""
        readers = self.readers(name)
        if len(readers) == 1 and readers[0].op_type in RECTIFIERS and name not in self.outputs:
            name = readers[0].output[0]
        return name

    def reading(self, name: str) -> Iterator[NodeProto]:
        """Yield who computes with a value, rectified, moved or not."""
        for node in self.readers(name):
            if node.op_type in PASSING and node.input[0] == name:
                yield from self.reading(node.output[0])
            else:
                yield node

    def _products(self, weight: str) -> list[Product]:
        found = []
        for node, name in self._weighing(weight):
            if _is_product(node, name, weight) and self.is_computed(node.input[0]):
                product = Product(node.input[0], node.output[0], node.op_type == "Conv")
                found.append(product)
        return found

    def _weighing(self, weight: str) -> Iterator[tuple[NodeProto, str]]:
        """Yield who reads a weight, also behind a Transpose of it, and under which name."""
        for node in self.readers(weight):
            if _is_matrix_transpose(node):
                yield from ((each, node.output[0]) for each in self.readers(node.output[0]))
            else:
                yield node, weight

    def _adds_zeros(self, node: NodeProto) -> bool:
        """Return whether what `node` adds is 0, which is exact when it is quantized."""
        if node.op_type != "Pad" or len(node.input) < 3 or not node.input[2]:
            return True
        added = self.constants.get(node.input[2])
        return added is not None and not numpy_helper.to_array(added).any()


def _is_product(node: NodeProto, weight: str, own_name: str) -> bool:
    """Return whether `node` multiplies its first input with rows of the weight `own_name`."""
    is_transposed = weight != own_name
    place = list(node.input).index(weight)
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    match node.op_type:
        case "Conv":
            return place == 1 and not is_transposed
        case "Gemm":
            by_rows = attributes.get("transB", 0) == 1 and attributes.get("transA", 0) == 0
            plain = attributes.get("alpha", 1.0) == attributes.get("beta", 1.0) == 1.0
            return place == 1 and not is_transposed and by_rows and plain
        case "MatMul":
            return place == 1 and is_transposed
    return False


def _is_matrix_transpose(node: NodeProto) -> bool:
    return node.op_type == "Transpose" and any(
        each.name == "perm" and list(each.ints) == [1, 0] for each in node.attribute
    )


def pool_globally_(graph: GraphProto, pools: Collection[str]) -> None:
    """Write the averages `pools`, over the last two of four axes, as GlobalAveragePool, in place.

    Runtimes have kernels for that, also on integers, and none for a ReduceMean.
    """
    nodes = []
    for node in graph.node:
        if node.output[0] not in pools:
            nodes.append(node)
            continue
        keeps_axes = all(each.i for each in node.attribute if each.name == "keepdims")
        pooled = node.output[0] if keeps_axes else f"{node.output[0]}@pool"
        nodes.append(helper.make_node("GlobalAveragePool", [node.input[0]], [pooled]))
        if not keeps_axes:
            nodes.append(helper.make_node("Squeeze", [pooled, node.input[1]], [node.output[0]]))
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    graph.ClearField("node")
    graph.node.extend(copies)
