"""See that a file answers as the network that it was made of: each file, before it is measured.

Both are given a few real inputs as one batch, and the file again one by one: the network was seen
to answer each as if alone (`objectives.preflight`). The distance between their answers is the root
of the mean squared difference, in standard deviations of the network's answers. ONNX Runtime
computes what the file says: with its fusion of integer kernels off, which rounds otherwise and is
part of what a file is measured by.

Where a value is rounded to integers, the order of sums before it decides what becomes of a number
between two integers, and a few layers later everything differs by that. So the network goes on
with the number that the file has there, after the two are compared. Whatever is computed lies
between two such places, and differs in nothing but the order of sums.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor

from models.errors import first_line
from models.inputs import by_name, outputs_of, returned
from objectives.artifact.graph import EXACT
from objectives.context import Context
from objectives.errors import MeasurementError
from objectives.network.state import NetworkState
from objectives.onnx_session import open_session
from objectives.training.activations import attach_rounding_, rounded

COMPARED_INPUTS = 4

ALIKE = 1e-2
"""Share of the largest number that counts as a standard deviation, where all are almost equal: a
pruned regression may answer with its bias alone, which the order of sums changes by 1e-7."""

TOLERANCE = 1e-3
"""Of 42 networks in each format the largest distance was 4e-6."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How far a file is from its network, and where."""

    distance: float
    """In standard deviations of what the network has there."""
    place: str
    """In words: its answers, what a layer is given, or a value between."""


def distance(given: np.ndarray, expected: np.ndarray, among: np.ndarray | None = None) -> float:
    """Return how far `given` is from `expected`, in standard deviations of this, or of `among`."""
    if given.shape != expected.shape:
        return float("inf")
    if expected.size == 0:  # of experts that no input goes to
        return 0.0
    difference = given.astype(np.float64) - expected
    among = expected if among is None else among
    spread = max(float(among.std()), ALIKE * float(np.abs(among).max(initial=0)), 1e-30)
    return float(np.sqrt((difference**2).mean())) / spread


def check_answers(content: bytes, state: NetworkState, context: Context) -> None:
    """Compare the file `content` with the network of `state`.

    Raises:
        MeasurementError: They differ by more than `TOLERANCE`, and the text says where they begin
            to; the file cannot be run; or the network's answers are not finite.
    """
    found = largest_difference(content, state, context)
    if not found.distance <= TOLERANCE:
        places = differences(content, state, context, everywhere=True)
        first = next((each for each in places if not each.distance <= TOLERANCE), found)
        raise MeasurementError(
            f"The file does not answer as the network: {first.place} differs by "
            f"{first.distance:.2g} standard deviations (tolerated: {TOLERANCE:g})."
        )


def largest_difference(content: bytes, state: NetworkState, context: Context) -> Difference:
    """Return the largest difference between the file `content` and the network of `state`."""
    found = differences(content, state, context)
    return max(found, key=lambda each: float(np.nan_to_num(each.distance, nan=np.inf)))


def differences(
    content: bytes, state: NetworkState, context: Context, *, everywhere: bool = False
) -> list[Difference]:
    """Compare the values that are rounded to integers, and the answers, in order.

    Args:
        content: The file.
        state: What it was made of.
        context: Of the network.
        everywhere: Whether to compare what layers are given, too, where that is not rounded.

    Raises:
        MeasurementError: The file cannot be run, or the network's answers are not finite.
    """
    network = context.network_of(state)
    places = {name: f"value '{name}'" for name in state.activations}
    if places or everywhere:
        for layer, taken in context.taken(state, context.layers_of(network)).items():
            for name in taken:
                if name in places or everywhere:
                    places[name] = f"what layer '{layer}' is given"
    file = _Unfused(content, places)
    inputs = context.data.training_inputs(COMPARED_INPUTS)
    given = by_name(network, inputs)
    inside = file(given)
    found: list[Difference] = []

    def compare(name: str, computed: Tensor) -> Tensor:
        given, expected = inside.get(name + EXACT, inside[name]), computed.numpy()
        if given.size == expected.size:  # a value may be in another shape there
            given = given.reshape(expected.shape)
        found.append(Difference(distance(given, expected), places[name]))
        goes_on, stored = torch.from_numpy(given).clone(), state.activations.get(name)
        return goes_on if stored is None else rounded(goes_on, stored)

    if places:
        attach_rounding_(network, context.values(state), places, compare)
    with torch.no_grad():
        outputs = outputs_of(returned(network, inputs.clone()))  # which it may change
    singly = [file(by_name(network, each)) for each in inputs.split(1)]
    for name, output in outputs.items():
        answers, expected = inside[name], output.numpy()
        if not np.isfinite(expected).all():
            raise MeasurementError("the network's answers are not all finite.")
        alone = np.concatenate([each[name] for each in singly])
        shown = "its answer" if name == next(iter(outputs)) else f"its output '{name}'"
        found.append(Difference(distance(answers, expected), shown))
        found.append(Difference(distance(alone, answers), f"{shown} to one input alone"))
    return found


class _Unfused:
    """A file, open with integer kernels off; gives its outputs, and values inside it."""

    def __init__(self, content: bytes, inside: Collection[str]) -> None:
        model = onnx.load_from_string(content)
        known = {value.name for value in (*model.graph.input, *model.graph.output)}
        made = {name for node in model.graph.node for name in node.output}
        exact = {name + EXACT for name in inside if name + EXACT in made}
        for name in sorted((set(inside) | exact) - known):
            shown = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            model.graph.output.append(shown)
        self._names = [value.name for value in model.graph.output]
        content = model.SerializeToString()
        self._session = open_session(content, "the file", changed="no integer fusion")

    def __call__(self, given: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
        """Return all values that it shows for inputs, and these, by name."""
        feeds = {name: each.numpy() for name, each in given.items()}
        try:
            values = self._session.run(self._names, feeds)
        except Exception as err:  # ONNX Runtime's exceptions share no base class
            raise MeasurementError(f"ONNX Runtime cannot run the file: {first_line(err)}") from err
        return feeds | dict(zip(self._names, values, strict=True))
