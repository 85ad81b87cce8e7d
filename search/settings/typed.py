"""Values of a caller, of the types that a dataclass says, or refused in one line."""

from collections.abc import Mapping
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from models.errors import BadInputError

NAMES = {int: "a whole number", float: "a number", str: "text", bool: "True or False"}
NAMES |= {NoneType: "None"}


def typed(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values`, fields of the dataclass `kind` by name, as its types want them.

    A whole number serves where a number is wanted, NumPy's as Python's, any sequence as a tuple.

    Raises:
        BadInputError: A value is of another type; the text names it.
    """
    hints = get_type_hints(kind)
    known = {each.name for each in fields(kind)}
    return {
        name: _as_wanted(value, hints[name], name) if name in known else value
        for name, value in values.items()
    }


def _as_wanted(value: Any, wanted: Any, name: str) -> Any:  # noqa: ANN401 - any type
    try:
        return _fitted(value, wanted)
    except TypeError:
        raise BadInputError(f"`{name}` must be {_told(wanted)}, but got {value!r}.") from None


def _fitted(value: Any, wanted: Any) -> Any:  # noqa: ANN401 - any type
    """Return `value` as of the type `wanted`; `TypeError` if it is of another."""
    origin, inner = get_origin(wanted), get_args(wanted)
    if isinstance(value, np.generic):
        value = value.item()
    if origin in {Union, UnionType}:
        for each in inner:
            try:
                return _fitted(value, each)
            except TypeError:
                continue
        raise TypeError
    if origin is tuple:
        if isinstance(value, str) or not hasattr(value, "__iter__"):
            value = (value,)
        return tuple(_fitted(each, inner[0]) for each in value)
    if origin is Literal:  # a law of the config names those that there are
        return _fitted(value, str)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return value
    if wanted in NAMES and type(value) is not wanted:
        raise TypeError
    return value


def _told(wanted: Any) -> str:  # noqa: ANN401 - any type
    origin, inner = get_origin(wanted), get_args(wanted)
    if origin in {Union, UnionType}:
        return " or ".join(map(_told, inner))
    if origin is tuple:
        return f"several of: {_told(inner[0])}"
    return NAMES.get(wanted, NAMES[str] if origin is Literal else str(wanted))
