"""Where in a network's code the values of its exported graph are computed.

The graph says which numbers a runtime computes with; while it is trained the network must round
them at the same places. So both compute with the same inputs and the same weights, and a call of
the code that gives the numbers of a value is where that is. Weights are drawn at random for this:
no two values are then equal by chance, as where a pruned network gives nothing but zeros.

Where several values have the same numbers the first of the graph is it, and the others have no
call; so of the calls, but for those that repeat the first, as the exporter computes equal calls
once. What merely passes numbers on, as dropout does, changes them while it trains.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from onnx import ModelProto, ValueInfoProto
from torch import Tensor, nn

from models.errors import first_line
from models.inputs import Given, by_name, returned
from objectives.errors import MeasurementError
from objectives.network.calls import CallWatch
from objectives.network.graph_inputs import state_inputs
from objectives.onnx_session import open_session

TOLERANCE = 1e-4
"""Largest difference of equal numbers, of the largest; sums in another order give 1e-6."""
FIRST_LOOK = 64
"""Numbers that are compared before all are."""
SPREAD = 0.5
"""Standard deviation of random biases; scales lie between this and three times as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """The values of a graph that are floats, by name."""

    calls: Mapping[str, tuple[str, ...]]
    """The calls that give each; a value that no call gives is left out."""
    shapes: Mapping[str, tuple[int, ...]]
    """Of each, for a batch of two."""

    def by_call(self, names: Iterable[str]) -> dict[str, list[str]]:
        """Return, by the calls that give values of `names`, which these are."""
        called: dict[str, list[str]] = defaultdict(list)
        for name in names:
            for call in self.calls[name]:
                called[call].append(name)
        return dict(called)


def find_values(
    network: nn.Module, model: ModelProto, inputs: Given, weights: Mapping[str, Tensor]
) -> Values:
    """Find where `network` computes the values of its graph.

    Args:
        network: With the structure of the graph; it is spoilt.
        model: The graph, whose further inputs are tensors of the network's state.
        inputs: Two of them.
        weights: Of the network, to go back to where random ones do not give finite answers.

    Raises:
        MeasurementError: ONNX Runtime cannot run the graph.
    """
    _randomize_(network)
    values = _values(model, network, inputs)
    if not np.isfinite(values[model.graph.output[0].name]).all():
        network.load_state_dict(weights)
        values = _values(model, network, inputs)
    by_size: dict[int, list[str]] = defaultdict(list)
    for name, each in values.items():
        by_size[each.size].append(name)
    found: dict[str, list[str]] = defaultdict(list)
    known: dict[int, tuple[Tensor, str]] = {}  # what calls gave, kept alive, and which value it is

    def look(call: str, given: Tensor, args: tuple[Any, ...]) -> Tensor:
        name = _first_equal(given.detach().numpy(), by_size[given.numel()], values)
        if name is None:
            known.pop(id(given), None)
            return given
        passed = {known[id(each)][1] for each in _tensors(args) if id(each) in known}
        known[id(given)] = given, name
        if name not in passed and all(_function(call) == _function(each) for each in found[name]):
            found[name].append(call)
        return given

    watch = CallWatch(network, look)
    with torch.no_grad():
        returned(network, inputs.clone())  # which it may change
    watch.remove()
    return Values(
        calls={name: tuple(calls) for name, calls in found.items()},
        shapes={name: each.shape for name, each in values.items()},
    )


def _values(model: ModelProto, network: nn.Module, inputs: Given) -> dict[str, np.ndarray]:
    """Return the floats that a graph computes with, by name, for the weights of `network`."""
    open_model = ModelProto.FromString(model.SerializeToString())
    graph = open_model.graph
    outputs = [name for node in graph.node for name in node.output if name]
    ends = {value.name for value in graph.output}
    graph.output.extend(ValueInfoProto(name=name) for name in outputs if name not in ends)
    state = network.state_dict()
    feeds = {
        value.name: state[value.name].detach().contiguous().numpy()
        for value in state_inputs(graph)
    }
    given = {name: each.numpy() for name, each in by_name(network, inputs).items()}
    feeds |= given
    session = open_session(open_model.SerializeToString(), "the graph", changed="not at all")
    try:
        results = session.run(outputs, feeds)
    except Exception as err:  # ONNX Runtime's exceptions share no base class
        raise MeasurementError(f"ONNX Runtime cannot run the graph: {first_line(err)}") from err
    return {
        name: each
        for name, each in [*given.items(), *zip(outputs, results, strict=True)]
        if isinstance(each, np.ndarray) and each.dtype == np.float32 and each.size > 0
    }


def _first_equal(
    given: np.ndarray, names: list[str], values: Mapping[str, np.ndarray]
) -> str | None:
    """Return which of the `names` has the numbers of `given`, one of its shape if there is."""
    flat = given.reshape(-1)
    some = slice(None, None, max(1, flat.size // FIRST_LOOK))
    equal = [
        name
        for name in names
        if _is_near(flat[some], values[name].reshape(-1)[some])
        and _is_near(flat, values[name].reshape(-1))
    ]
    in_shape = [name for name in equal if values[name].shape == given.shape]
    return next(iter(in_shape or equal), None)


def _function(call: str) -> str:
    """Return the function that was called."""
    return call.rpartition(">")[2].partition(":")[0]


def _is_near(given: np.ndarray, expected: np.ndarray) -> bool:
    largest = max(float(np.abs(expected).max()), 1e-30)
    with np.errstate(invalid="ignore"):  # some are infinite
        return bool(np.abs(given - expected).max() <= TOLERANCE * largest)


def _tensors(args: tuple[Any, ...]) -> Iterator[Tensor]:
    """Yield the tensors among a function's arguments, and those in lists of them."""
    for each in args:
        if isinstance(each, Tensor):
            yield each
        elif isinstance(each, tuple | list):
            yield from _tensors(tuple(each))


def _randomize_(network: nn.Module) -> None:
    """Give the parameters of `network`, in place, numbers as a trained one could have."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if not parameter.is_floating_point():
                continue
            if parameter.dim() > 1:
                spread = (2 / parameter[0].numel()) ** 0.5
                parameter.normal_(0, spread, generator=generator)
            elif name.endswith("bias"):
                parameter.normal_(0, SPREAD, generator=generator)
            else:
                parameter.uniform_(SPREAD, 3 * SPREAD, generator=generator)
