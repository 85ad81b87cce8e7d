"""Which values of a network's graph become integers, so that a runtime computes on integers.

ONNX Runtime computes an operator on integers if all that it reads and what it gives are quantized
(`INTEGER_OPERATORS`), and moves integers without a look at them (`MOVING`); what a Relu or Clip
gives is quantized in the place of what it reads. So a value is quantized where a layer multiplies
it, where an operator between such layers reads it, and where a convolution or such an operator
gives it. Everything else is left alone: each way there and back costs time.

Values get one scale where one is the other's numbers moved, where they are concatenated, and where
the same layer multiplies them.

Where integers would be slower a layer multiplies floats with weights that are unpacked once, when
the file is opened: a convolution with short rows whose numbers are floats again behind it, and all
layers of a network of few multiplications. How long integers took by floats, everything on
integers, by multiplications of an input (one thread of an AMD EPYC with VNNI):

| dense | 13 k | 55 k | 118 k | 269 k | convolutions | 0.6 M | 2.0 M | 7.7 M | 30 M |
| :---- | ---: | ---: | ----: | ----: | :----------- | ----: | ----: | ----: | ---: |
|       | 1.14 | 1.07 |  0.83 |  0.62 |              |  1.77 |  1.02 |  0.57 | 0.42 |

(`python -m benchmarks.integers --sizes`)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from onnx import GraphProto, NodeProto

from models.layers import Layer
from objectives.network.groups import Groups
from objectives.network.value_graph import PASSING, Product, ValueGraph
from objectives.network.values import Values

INTEGER_OPERATORS = {
    "Conv": "QLinearConv",
    "Gemm": "QGemm",
    "MatMul": "MatMulIntegerToFloat",
    "Add": "QLinearAdd",
    "Mul": "QLinearMul",
    "Concat": "QLinearConcat",
    "AveragePool": "QLinearAveragePool",
    "GlobalAveragePool": "QLinearGlobalAveragePool",
    "Sigmoid": "QLinearSigmoid",
    "LeakyRelu": "QLinearLeakyRelu",
}
"""What ONNX Runtime computes on integers, and what it then calls that."""

BETWEEN = set(INTEGER_OPERATORS) - {"Conv", "Gemm", "MatMul"}
"""Those without weights."""

FEWEST_MULTIPLICATIONS = 2**18
"""Of an input, for which integers are worth their while."""
LONG_ROW = 256
"""Weights of a convolution's channel from which on integers pay even if floats are read off it."""
FEW = f"fewer than {FEWEST_MULTIPLICATIONS:,} multiplications an input"
"""Why all layers of a small network multiply floats."""
CONVOLVED = 16
"""Multiplications of a convolution that count as one: floats are fast there, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerPlan:
    """What becomes integers."""

    groups: tuple[tuple[str, ...], ...]
    """Values of one scale each."""
    layers: Mapping[str, int]
    """The group that a layer multiplies; the others have integer weights alone."""
    floats: Mapping[str, str]
    """Why others multiply floats, by layer, in words."""


def plan_integers(
    graph: GraphProto, values: Values, layers: Mapping[str, Layer], *, everywhere: bool
) -> IntegerPlan:
    """Return which values of `graph` become integers.

    Args:
        graph: Of the network, its folded norms left out.
        values: Where its code computes each: others cannot be rounded while it is trained.
        layers: Those whose weights become integers, by name.
        everywhere: Whether to do so also in a network of few multiplications.
    """
    return _Planner(graph, values, layers).plan(everywhere=everywhere)


class _Planner:
    def __init__(self, graph: GraphProto, values: Values, layers: Mapping[str, Layer]) -> None:
        self._graph = ValueGraph(graph)
        self._values = values
        self._layers = layers
        self._products = self._graph.products(layers)

    def plan(self, *, everywhere: bool) -> IntegerPlan:
        if not everywhere and self._multiplications() < FEWEST_MULTIPLICATIONS:
            return IntegerPlan(groups=(), layers={}, floats=dict.fromkeys(self._products, FEW))
        products = {
            name: found
            for name, found in self._products.items()
            if all(self._can_be_computed(each) for each in found)
        }
        between = [
            node
            for node in self._graph.nodes
            if node.op_type in BETWEEN
            and all(self._source(name) is not None for name in node.input)
            and self._given(node.output[0]) is not None
        ]
        while True:
            outputs = {each.output for found in products.values() for each in found}
            outputs |= {node.output[0] for node in between}
            kept_products = {
                name: found
                for name, found in products.items()
                if everywhere or all(self._is_worth(name, each, outputs) for each in found)
            }
            kept = [
                node
                for node in between
                if self._goes_to(node.output[0], outputs)
                and any(self._comes_from(name, outputs) for name in node.input)
            ]
            if len(kept_products) == len(products) and len(kept) == len(between):
                return self._grouped(products, between)
            products, between = kept_products, kept

    def _multiplications(self) -> float:
        """Return the multiplications of the layers for an input, a convolution's as they count."""
        count = 0.0
        for name, products in self._products.items():
            row = self._layers[name].weight[0].numel()
            for each in products:
                outputs = prod(self._values.shapes.get(each.output, (0, 0))[1:])
                count += outputs * row / (CONVOLVED if each.is_convolution else 1)
        return count

    def _can_be_computed(self, product: Product) -> bool:
        """Return whether a layer's product can be on integers."""
        return self._source(product.taken) is not None and not (
            product.is_convolution and self._given(product.output) is None
        )

    def _is_worth(self, name: str, product: Product, computed: set[str]) -> bool:
        """Return whether a layer's product is faster on integers, with those that are `computed`.

        A convolution of floats computes the activation behind it at once.
        """
        return (
            not product.is_convolution
            or self._layers[name].weight[0].numel() >= LONG_ROW
            or self._goes_to(product.output, computed)
        )

    def _goes_to(self, name: str, computed: set[str]) -> bool:
        """Return whether something that is `computed` on integers reads a value."""
        return any(node.output[0] in computed for node in self._graph.reading(name))

    def _comes_from(self, name: str, computed: set[str]) -> bool:
        """Return whether a value is `computed` on integers, but for what it was passed through."""
        while name not in computed:
            node = self._graph.producers.get(name)
            if node is None or node.op_type not in PASSING:
                return False
            name = node.input[0]
        return True

    def _source(self, name: str) -> str | None:
        """Return what to quantize for a reader of a value; None where that cannot be."""
        for moved in self._graph.moved_from(name):
            if not self._graph.is_computed(moved):
                return None
            if self._can_be_quantized(moved):
                return moved
        return None

    def _given(self, name: str) -> str | None:
        """Return what to quantize of that which an operator gives; None where that cannot be."""
        for given in (self._graph.rectified(name), name):
            if self._can_be_quantized(given):
                return given
        return None

    def _can_be_quantized(self, name: str) -> bool:
        return name in self._values.calls and name not in self._graph.outputs

    def _grouped(
        self, products: Mapping[str, list[Product]], between: Iterable[NodeProto]
    ) -> IntegerPlan:
        """Return the plan in which these compute on integers."""
        wanted: dict[str, None] = {}  # in order
        taken = {}
        for name, found in products.items():
            taken[name] = [self._sure_source(each.taken) for each in found]
            wanted |= dict.fromkeys(taken[name])
        for node in between:
            wanted |= dict.fromkeys(self._sure_source(name) for name in node.input)
        outputs = [
            each.output for found in products.values() for each in found if each.is_convolution
        ]
        outputs += [node.output[0] for node in between]
        for output in outputs:
            if not any(name in wanted for name in self._graph.given_on(output)):
                given = self._given(output)
                assert given is not None
                wanted[given] = None
        groups = Groups()
        for name in wanted:
            groups.join(name, self._root(name))
        for node in between:
            if node.op_type == "Concat":
                for name in (*node.input, node.output[0]):
                    groups.join(self._root(name), self._root(node.output[0]))
        for sources in taken.values():
            for name in sources:
                groups.join(name, sources[0])
        needed = [name for name in wanted if not self._follows(name, wanted)]
        order = list(dict.fromkeys(groups.of(name) for name in needed))
        return IntegerPlan(
            groups=tuple(
                tuple(name for name in needed if groups.of(name) == group) for group in order
            ),
            layers={name: order.index(groups.of(sources[0])) for name, sources in taken.items()},
            floats={
                name: self._reason(found, set(products))
                for name, found in self._products.items()
                if name not in products
            },
        )

    def _reason(self, products: Sequence[Product], computed: set[str]) -> str:
        """Return why a layer multiplies floats."""
        if any(self._source(each.taken) is None for each in products):
            return "what it multiplies is nowhere in the network's code"
        outputs = {each.output for name in computed for each in self._products[name]}
        readers = {
            node.op_type
            for each in products
            for node in self._graph.reading(each.output)
            if node.output[0] not in outputs
        }
        return f"{' and '.join(sorted(readers)) or 'the answer'} behind it"

    def _sure_source(self, name: str) -> str:
        found = self._source(name)
        assert found is not None
        return found

    def _root(self, name: str) -> str:
        """Return the value whose numbers this one moves."""
        *_, root = self._graph.moved_from(name, pooled=True)
        return root

    def _follows(self, name: str, wanted: Mapping[str, None]) -> bool:
        """Return whether the numbers of a value are moved from one that is quantized already."""
        _, *before = self._graph.moved_from(name, pooled=True)
        return any(each in wanted for each in before)
