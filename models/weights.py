"""Read trained weights from a file; nothing in it is executed."""

import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from safetensors.torch import load
from torch import Tensor, nn

from models.errors import BadInputError, first_line

PLACES = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
"""Where checkpoints have the state dict, if they hold more than that."""

COMPILED = "_orig_mod."
"""What `torch.compile` puts into names."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a Lightning .ckpt, a torch file or a .safetensors.

    Raises:
        BadInputError: There is no such file, or it holds something else.
    """
    try:
        content = path.read_bytes()
    except OSError as err:
        raise BadInputError(f"The weights {path} cannot be read: {err.strerror}.") from err
    try:
        stored: Any = load(content) if path.suffix == ".safetensors" else _unpickled(path)
    except Exception as err:  # a file that is no pickle, or one made by hand, fails anyhow
        reason = first_line(err) or type(err).__name__
        raise BadInputError(f"The weights {path} cannot be read: {reason}") from err
    for place in PLACES:
        if isinstance(stored, Mapping) and isinstance(stored.get(place), Mapping | _Ignored):
            stored = stored[place]
            break
    if isinstance(stored, _Ignored):
        raise BadInputError(
            f"The weights {path} hold an object of code, not a state dict: "
            "save `network.state_dict()`."
        )
    tensors = {}
    if isinstance(stored, Mapping):
        tensors = {
            str(name): tensor for name, tensor in stored.items() if isinstance(tensor, Tensor)
        }
    if not tensors:
        raise BadInputError(f"The weights {path} hold no state dict.")
    return tensors


def _unpickled(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    """Return what torch has saved, without any object of another's class."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about pickles that are then refused
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:  # hyperparameters of classes that torch does not know
            reader = SimpleNamespace(
                Unpickler=_TensorsOnly,
                load=lambda file, **settings: _TensorsOnly(file, **settings).load(),
                __name__="tensors only",
            )
            return torch.load(path, map_location="cpu", weights_only=False, pickle_module=reader)


class _Plain:
    """What a pickle can do nothing to: attributes that it gives an object are ignored.

    Given to a class of these itself, they are an error.
    """

    def __setstate__(self, state: object) -> None:
        """Ignore attributes."""


class _Ignored(_Plain):
    """Stands for an object of a class that is not looked up."""

    def __new__(cls, *_: object, **__: object) -> "_Ignored":
        return super().__new__(cls)

    def __call__(self, *_: object, **__: object) -> "_Ignored":
        return self

    def __setitem__(self, key: object, value: object) -> None:
        """Ignore an item of the object."""

    def append(self, item: object) -> None:
        """Ignore an item of the object."""

    def extend(self, items: object) -> None:
        """Ignore items of the object."""


class _Ordered(_Plain, OrderedDict[Any, Any]):
    """Holds a state dict."""


class _Got(_Plain):
    """Stands for `getattr`, by which pickles name classes within others."""

    def __new__(cls, *_: object) -> Any:  # noqa: ANN401 - as pickles have it
        return _Ignored


class _Tensor(_Plain):
    """Makes a tensor of a storage, which `torch.load` reads."""

    def __new__(cls, *args: Any) -> Any:  # noqa: ANN401 - a tensor
        return torch._utils._rebuild_tensor_v2(*args)


class _Parameter(_Plain):
    """Makes a parameter of a tensor."""

    def __new__(cls, data: Tensor, *_: object) -> Any:  # noqa: ANN401 - a tensor
        return data


class _TensorsOnly(pickle.Unpickler):
    """Makes tensors and what holds them; of anything else nothing is looked up or called."""

    _known: ClassVar[dict[tuple[str, str], Any]] = {
        ("builtins", "getattr"): _Got,
        ("__builtin__", "getattr"): _Got,
        ("collections", "OrderedDict"): _Ordered,
        ("torch", "Size"): torch.Size,
        ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
        ("torch._utils", "_rebuild_parameter"): _Parameter,
        ("torch._utils", "_rebuild_parameter_with_state"): _Parameter,
    }

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - pickle's
        """Return what may be called, or a class that ignores all."""
        return self._known.get((module, name), _Ignored)


def fit_weights(weights: dict[str, Tensor], network: nn.Module, what: str) -> dict[str, Tensor]:
    """Return `weights` named as the state dict of `network`.

    A prefix that all names have, as "model." or "module.model." (a checkpoint of a module around
    the network) or "network." (ours), is taken off or put on. Numbers of batches that norms have
    met may be missing.

    Raises:
        BadInputError: Names or shapes differ, of which the text names the first; or there are
            several networks that fit.
    """
    state = network.state_dict()
    given = {name.replace(COMPILED, ""): tensor for name, tensor in weights.items()}
    optional = {name for name in state if name.endswith("num_batches_tracked")}
    needed = [name for name in state if name not in optional]
    found: dict[str, dict[str, Tensor]] = {}
    for theirs, ours in _prefixes(given, needed):
        names = {name: theirs + name.removeprefix(ours) for name in state}
        if all(names[name] in given for name in needed):
            found[theirs] = {name: given.get(names[name], state[name]) for name in state}
    if not found:
        missing = next(name for name in needed if name not in given)
        raise BadInputError(f"The {what} do not fit: the network's '{missing}' is not there.")
    if len(found) > 1 and "" not in found:
        raise BadInputError(
            f"The {what} hold several networks that fit ({', '.join(map(repr, found))}): save the "
            "state dict of the one that is meant."
        )
    fitting = found.get("") or next(iter(found.values()))
    for name, tensor in fitting.items():
        if tensor.shape != state[name].shape:
            raise BadInputError(
                f"The {what} do not fit: '{name}' has shape {tuple(tensor.shape)}, but the "
                f"network's has {tuple(state[name].shape)}."
            )
        if tensor.layout != torch.strided or tensor.is_meta or tensor.is_complex():
            raise BadInputError(f"The {what} do not fit: '{name}' holds no plain real numbers.")
    return fitting


def _prefixes(given: Mapping[str, Tensor], needed: list[str]) -> Iterator[tuple[str, str]]:
    """Yield what may stand before a name in the weights, and before it in the network's."""
    if not needed:
        yield "", ""
        return
    first = needed[0]
    starts = ["", *(first[: dot.end()] for dot in re.finditer(r"\.", first))]
    for ours in (start for start in starts if all(name.startswith(start) for name in needed)):
        bare = first.removeprefix(ours)
        for name in given:
            theirs = name.removesuffix(bare)
            if theirs != name and (not theirs or theirs.endswith(".")):
                yield theirs, ours
