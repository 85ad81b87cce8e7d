"""What a network is given for a batch, one tensor or several, and what it returns.

Most take one tensor. Others take several, by their places or by the names of `forward`'s
arguments, and return tuples, dictionaries or dataclasses of tensors. The answer is the one called
`logits`, or else the first: it is what is learnt and scored, and the file's first output. Whatever
else is returned that is no tensor, as a cache is, is left out.
"""

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, cast

import torch
from torch import Tensor, nn

from models.errors import BadInputError
from models.lightning import is_lightning_module

INPUT_NAME = "input"
"""What a file calls the only input."""
ANSWER = "logits"
"""What a file calls the only output."""


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Several tensors, each of N rows, that a network takes at once."""

    tensors: tuple[Tensor, ...]
    names: tuple[str, ...] = ()
    """Of `forward`'s arguments; empty where places say which is which."""

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, rows: slice) -> "Inputs":
        return Inputs(tuple(each[rows] for each in self.tensors), self.names)

    def clone(self) -> "Inputs":
        """Return copies of all tensors."""
        return Inputs(tuple(each.clone() for each in self.tensors), self.names)

    def to(self, device: torch.device) -> "Inputs":
        """Return the same on `device`."""
        return Inputs(tuple(each.to(device) for each in self.tensors), self.names)

    def split(self, size: int) -> list["Inputs"]:
        """Return parts of so many rows, the last one maybe of fewer."""
        parts = zip(*(each.split(size) for each in self.tensors), strict=True)
        return [Inputs(part, self.names) for part in parts]


Given = Tensor | Inputs
"""What a network is given for a batch of N."""


def tensors_of(given: Given) -> tuple[Tensor, ...]:
    """Return the tensors, each (N, ...)."""
    return given.tensors if isinstance(given, Inputs) else (given,)


def shapes_of(given: Given) -> tuple[Any, ...]:
    """Return the shape of one input, without N; of several tensors one shape each."""
    shapes = tuple(tuple(each.shape[1:]) for each in tensors_of(given))
    return shapes if isinstance(given, Inputs) else shapes[0]


def kinds_of(given: Given) -> str:
    """Return names and types of the tensors, in words."""
    names = given.names if isinstance(given, Inputs) else ()
    kinds = [str(each.dtype).removeprefix("torch.") for each in tensors_of(given)]
    return ", ".join(
        f"{name} {kind}" if name else kind for name, kind in zip_longest(names, kinds)
    )


def free_axes(given: Given, varying: Sequence[frozenset[int]]) -> list[frozenset[int]]:
    """Return the axes of each tensor whose length is to stay free, beside the first.

    Those are the ones whose length differs within the data, and the places of whole numbers
    (N, length), as of tokens and of masks.
    """
    known = [*varying, *[frozenset[int]()] * (len(tensors_of(given)) - len(varying))]
    places = frozenset({1})
    return [
        axes if each.is_floating_point() or each.dim() != 2 else axes | places
        for axes, each in zip(known, tensors_of(given), strict=True)
    ]


def joined(parts: Sequence[Given]) -> Given:
    """Return batches, alike but for their rows, as one."""
    first = parts[0]
    if isinstance(first, Inputs):
        columns = zip(*(tensors_of(each) for each in parts), strict=True)
        return Inputs(tuple(torch.cat(column) for column in columns), first.names)
    return torch.cat(cast(list[Tensor], parts))


def by_name(network: nn.Module, given: Given) -> dict[str, Tensor]:
    """Return the tensors that `network` takes, under the names that a file has them by.

    The steps of a `LightningModule` know what to do with further ones.

    Raises:
        BadInputError: `forward` takes other arguments; the text names them.
    """
    if isinstance(given, Tensor):
        return {INPUT_NAME: given}
    known = list(inspect.signature(network.forward).parameters.values())
    if any(each.kind is each.VAR_KEYWORD for each in known) and given.names:
        return dict(zip(given.names, given.tensors, strict=True))
    arguments = [each.name for each in known if each.kind is not each.VAR_POSITIONAL]
    if given.names:
        taken = {
            name: each
            for name, each in zip(given.names, given.tensors, strict=True)
            if name in arguments
        }
        rows = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
        needed = {
            each.name for each in known if each.default is each.empty and each.kind not in rows
        }
        if not taken or not needed <= taken.keys():
            raise BadInputError(
                f"`forward` takes {', '.join(arguments)}, but the data yield "
                f"{', '.join(given.names)}: let both have the same names."
            )
        return taken
    count = len(given.tensors)
    if len(arguments) < len(known):  # it takes any number
        arguments += [f"{INPUT_NAME}_{place}" for place in range(len(arguments), count)]
    if len(arguments) < count and not is_lightning_module(network):
        raise BadInputError(
            f"`forward` takes {', '.join(arguments) or 'nothing'}, but the data yield {count} "
            "inputs."
        )
    return dict(zip(arguments, given.tensors, strict=False))


def left_out(network: nn.Module, given: Given) -> list[str]:
    """Return the names of tensors in a batch that `forward` is not given."""
    if isinstance(given, Tensor) or not given.names:
        return []
    taken = by_name(network, given)
    return [name for name in given.names if name not in taken]


def returned(network: nn.Module, given: Given) -> Any:  # noqa: ANN401 - whatever it returns
    """Return what `network` returns for a batch."""
    if isinstance(given, Tensor):
        return network(given)
    taken = by_name(network, given)
    return network(**taken) if given.names else network(*taken.values())


def ask(network: nn.Module, given: Given) -> Tensor:
    """Return the answer of `network`, (N, ...).

    Raises:
        BadInputError: It returns no tensor.
    """
    return answer_of(returned(network, given))


def answer_of(value: Any) -> Tensor:  # noqa: ANN401 - as above
    """Return the answer among what a network returned; see `ask`."""
    return next(iter(outputs_of(value).values()))


def outputs_of(value: Any) -> dict[str, Tensor]:  # noqa: ANN401 - as above
    """Return all tensors that a network returned by the names that a file has, the answer first.

    Raises:
        BadInputError: There are none, or the first output of a row has parts itself.
    """
    if isinstance(value, Tensor):
        return {ANSWER: value}
    parts = _parts(value)
    first_part = next(iter(parts.values()), None)
    if isinstance(value, tuple | list) and isinstance(first_part, tuple | list | Mapping):
        raise BadInputError(
            f"The network's first output must be a tensor, its answer, but is a "
            f"{type(first_part).__name__}."
        )
    found = {name: each for name, each in parts.items() if isinstance(each, Tensor)}
    if not found:
        raise BadInputError(
            f"The network must return tensors, but returned {type(value).__name__}."
        )
    first = ANSWER if ANSWER in found else next(iter(found))
    return {first: found.pop(first), **found}


def with_outputs(value: Any, outputs: Mapping[str, Tensor]) -> Any:  # noqa: ANN401 - as above
    """Return the like of `value`, which a network returned, with other tensors; the rest is None.

    Args:
        value: See `outputs_of`.
        outputs: The tensors, by its names.
    """
    if isinstance(value, Tensor):
        return outputs[ANSWER]
    parts = {name: outputs.get(name) for name in _parts(value)}
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(parts.values())
    return list(parts.values()) if isinstance(value, list) else type(value)(**parts)


def _parts(value: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    """Return what is in a value that a network returned, by name."""
    if isinstance(value, Mapping):
        return {str(name): each for name, each in value.items()}
    if dataclasses.is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if hasattr(value, "_asdict"):
        return dict(value._asdict())
    if isinstance(value, tuple | list):
        return {f"output_{place}" if place else ANSWER: each for place, each in enumerate(value)}
    return {}
