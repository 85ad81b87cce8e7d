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
from safetensors import SafetensorError
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
    except (
        pickle.UnpicklingError,
        SafetensorError,
        RuntimeError,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
    ) as err:
        raise BadInputError(f"The weights {path} cannot be read: {first_line(err)}") from err
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
            reader = SimpleNamespace(Unpickler=_TensorsOnly, __name__="tensors only")
            return torch.load(path, map_location="cpu", weights_only=False, pickle_module=reader)


class _Ignored:
    """Stands for an object of a class that is not looked up."""

    def __new__(cls, *_: object, **__: object) -> "_Ignored":
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        """Ignore the object's attributes."""

    def __setitem__(self, key: object, value: object) -> None:
        """Ignore an item of the object."""

    def append(self, item: object) -> None:
        """Ignore an item of the object."""

    def extend(self, items: object) -> None:
        """Ignore items of the object."""


class _TensorsOnly(pickle.Unpickler):
    """Makes tensors and what holds them; of anything else nothing is looked up or called."""

    _known: ClassVar[dict[tuple[str, str], Any]] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch", "Size"): torch.Size,
        ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
        ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
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
        BadInputError: Names or shapes differ; the text names the first that does.
    """
    state = network.state_dict()
    given = {name.replace(COMPILED, ""): tensor for name, tensor in weights.items()}
    optional = {name for name in state if name.endswith("num_batches_tracked")}
    needed = [name for name in state if name not in optional]
    for theirs, ours in _prefixes(given, needed):
        names = {name: theirs + name.removeprefix(ours) for name in state}
        if all(names[name] in given for name in needed):
            fitting = {name: given.get(names[name], state[name]) for name in state}
            for name, tensor in fitting.items():
                if tensor.shape != state[name].shape:
                    raise BadInputError(
                        f"The {what} do not fit: '{name}' has shape {tuple(tensor.shape)}, but "
                        f"the network's has {tuple(state[name].shape)}."
                    )
            return fitting
    missing = next(name for name in needed if name not in given)
    raise BadInputError(f"The {what} do not fit: the network's '{missing}' is not there.")


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
