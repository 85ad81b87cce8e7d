"""Where a layer multiplies what it is given with its weight, in an exported graph.

Only there can its input be quantized: while the network is trained that happens to what the layer
is called with, in the file to what the product reads, and these must be the same numbers. Of a
layer whose code does more than to move them in between, or computes with its weight first, the
weight alone is read as integers; so it is where another layer or the network reads a weight.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from onnx import NodeProto, helper, numpy_helper
from torch import Tensor, nn

from models.layers import Layer
from objectives.exporter import Exported

MULTIPLYING = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
MOVING = {"Expand", "Flatten", "Identity", "Pad", "Reshape", "Slice", "Squeeze", "Transpose"}
MOVING |= {"Unsqueeze"}
"""Operators whose output has the numbers of their first input, and zeros."""


@dataclass(frozen=True, slots=True)
class Product:
    """Where a layer multiplies what it is given, by the names of values in the graph."""

    taken: str
    """What the layer is called with."""
    output: str
    """What the product gives."""


def own_products(
    graph: Exported, layers: Mapping[str, Layer], calls: Mapping[str, int]
) -> dict[str, list[Product]]:
    """Return the products of each layer whose input can be quantized, in the order of its calls.

    Args:
        graph: Of the network that `layers` are in, or of one of the same names.
        layers: By name.
        calls: How often the network calls each; the exporter merges equal calls, and leaves those
            out that nobody reads.
    """
    reader = _Reader(graph)
    found = {
        name: reader.products(layer)
        for name, layer in layers.items()
        if isinstance(layer.module, MULTIPLYING)
    }
    return {
        name: products
        for name, products in found.items()
        if products and len(products) == _calls(name, calls)
    }


def _calls(name: str, calls: Mapping[str, int]) -> int:
    """Return how often a layer is called; both parts of a split one as often as it was."""
    return calls.get(name) or calls.get(name.rpartition(".")[0]) or 1


def calls_of(network: nn.Module, inputs: Tensor) -> dict[str, int]:
    """Return how often `network` calls each of its modules that multiply, by its first name."""
    counted: Counter[str] = Counter()

    def count(name: str) -> Callable[..., None]:
        counted[name] = 0
        return lambda *_: counted.update([name])

    hooks = [
        module.register_forward_pre_hook(count(name))
        for name, module in network.named_modules()
        if isinstance(module, MULTIPLYING)
    ]
    with torch.no_grad():
        network(inputs)
    for hook in hooks:
        hook.remove()
    return dict(counted)


class _Reader:
    """An exported graph, to be asked who reads what, and in which module."""

    def __init__(self, graph: Exported) -> None:
        model = graph.model()
        self._modules = graph.modules
        self._producers = {output: node for node in model.graph.node for output in node.output}
        self._readers: dict[str, list[NodeProto]] = {}
        for node in model.graph.node:
            for name in dict.fromkeys(node.input):
                self._readers.setdefault(name, []).append(node)
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}

    def products(self, layer: Layer) -> list[Product]:
        """Return the layer's products; none if one of them is of another kind."""
        found = []
        for node, weight in self._reading(layer.weight_name):
            if self._module(node) not in layer.paths:
                continue  # another layer's, or the network's own: it reads the weight alone
            taken = self._taken_by(node)
            if taken is None or not _is_product(node, weight, layer.weight_name):
                return []
            found.append(Product(taken, node.output[0]))
        return found

    def _module(self, node: NodeProto) -> str:
        return self._modules[node.output[0]]

    def _reading(self, name: str) -> Iterator[tuple[NodeProto, str]]:
        """Yield who reads `name`, also behind a Transpose of it, and under which name."""
        for node in self._readers.get(name, []):
            if _is_matrix_transpose(node):
                yield from ((each, node.output[0]) for each in self._readers[node.output[0]])
            else:
                yield node, name

    def _taken_by(self, node: NodeProto) -> str | None:
        """Return what the module of `node` is called with; None if it does more with that."""
        path = self._module(node)
        name, reader = node.input[0], node
        while (before := self._producers.get(name)) is not None and self._is_in(before, path):
            if before.op_type not in MOVING or not self._adds_zeros(before):
                return None
            if self._is_read_besides(name, reader, path):
                return None
            name, reader = before.input[0], before
        return None if self._is_read_besides(name, reader, path) else name

    def _is_in(self, node: NodeProto, path: str) -> bool:
        module = self._module(node)
        return module == path or module.startswith(f"{path}.")

    def _is_read_besides(self, name: str, reader: NodeProto, path: str) -> bool:
        """Return whether another node of the module than `reader` computes with a value."""
        return any(
            node is not reader and node.op_type != "Shape" and self._is_in(node, path)
            for node in self._readers[name]
        )

    def _adds_zeros(self, node: NodeProto) -> bool:
        """Return whether what `node` adds is 0, which is exact when it is quantized."""
        if node.op_type != "Pad" or len(node.input) < 3 or not node.input[2]:
            return True
        added = self._constants.get(node.input[2])
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
