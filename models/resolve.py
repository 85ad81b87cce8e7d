"""Turn what a user named into a model or data: built in, torchvision's, or their own code.

A user's own is `package.module:factory` or `path/file.py:factory`. Their code runs only when it is
named, and in this process.

A **model** factory takes `(input_shape, num_classes)` or nothing and returns an untrained
`nn.Module`: `forward` maps a batch of inputs (N, ...), one tensor or several, to answers, of
classes to logits (N, classes); see `models.inputs`. A `LightningModule` of either Lightning
serves too; its own `training_step`, hooks, callbacks and `configure_optimizers` are then used,
and `--lr` and `--batch-size` mean nothing where it or its data decide them. Where it has a
`validation_step`, it is validated after each epoch. Images come as float32 pixels / 255: a
network that wants them normalized does it in `forward`, so that the file that is shipped does it
too. `forward` must be exportable by `torch.export`, at any number of inputs.

A **data** factory takes nothing and returns a `LightningDataModule` of either Lightning whose
loaders yield `(inputs, labels)`, or what else `models.batches` takes; labels as one of
`models.tasks` takes them, classes from 0 on:
`train_dataloader`, and `val_dataloader` and `test_dataloader` in a fixed order. What its hooks do
to a batch on its way to the device is done in training and measuring alike. Each loader is read
before anything trains; see `models.loaders`.
"""

import hashlib
import importlib
import importlib.util
import inspect
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from models.copies import copy_network
from models.data_source import DataOptions, DataSource
from models.errors import BadInputError, blaming, first_line
from models.lightning import is_data_module
from models.loaders import LoaderData
from models.registry import DATA, MODELS, ModelSpec

OWN_DATA = "cifar10"
"""Data of a model that is not built in, unless the user names others."""

WITH_AUXILIARY_LOGITS = ("googlenet", "inception_v3")
"""torchvision's that answer with several logits while they train, unless they are told not to."""


def resolve_model(name: str) -> ModelSpec:
    """Return the model called `name`.

    Raises:
        BadInputError: There is none, or its code cannot be imported.
    """
    kind, _, rest = name.partition(":")
    if kind == "torchvision":
        return _torchvision_model(rest)
    if rest:
        factory = load_callable(name, "--model")
        return ModelSpec(build=_own_builder(factory, name), data=OWN_DATA, own=True)
    return MODELS.get(name)


def resolve_data(name: str, options: DataOptions) -> DataSource:
    """Return the data called `name`, not read yet.

    Raises:
        BadInputError: There is none, or its code cannot be imported.
    """
    kind, _, rest = name.partition(":")
    if kind == "folder" and rest:
        from models.data.folder import ImageFolder

        return ImageFolder(Path(rest), options)
    if rest:
        made = _call(load_callable(name, "--data"), name)
        if not is_data_module(made):
            raise BadInputError(
                f"`--data {name}` must return a LightningDataModule, not {type(made).__name__}."
            )
        return LoaderData(made)
    return DATA.get(name)(options)


def _torchvision_model(name: str) -> ModelSpec:
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise BadInputError(f"Unknown torchvision model '{name}'. Known: {', '.join(known)}.")

    def build(_: tuple[int, ...], num_classes: int) -> nn.Module:
        settings = {"aux_logits": False} if name in WITH_AUXILIARY_LOGITS else {}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The default weight initialization", FutureWarning)
            network: nn.Module = torchvision.models.get_model(
                name, weights=None, num_classes=num_classes, **settings
            )
        return network

    return ModelSpec(build=build, data=OWN_DATA, normalize=True)


def _own_builder(
    factory: Callable[..., Any], name: str
) -> Callable[[tuple[int, ...], int], nn.Module]:
    takes_arguments = _takes_two(factory)

    def build(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        arguments = (input_shape, num_classes) if takes_arguments else ()
        made = _call(factory, name, *arguments)
        if not isinstance(made, nn.Module):
            raise BadInputError(
                f"`--model {name}` must return an nn.Module, but got {type(made).__name__}."
            )
        return copy_network(made)  # it may be one and the same each time

    return build


def _takes_two(factory: Callable[..., Any]) -> bool:
    """Return whether it can be called with two arguments.

    A class without an `__init__` shows that of `nn.Module`, which takes none but says any.
    """
    try:
        signature = inspect.signature(factory)
        signature.bind((), 0)
    except (TypeError, ValueError):  # it takes others, or has no signature
        return False
    first = next(iter(signature.parameters.values()))
    return not (inspect.isclass(factory) and first.kind is inspect.Parameter.VAR_POSITIONAL)


def _call(factory: Callable[..., Any], name: str, *arguments: object) -> Any:  # noqa: ANN401 - the user's
    with blaming(f"'{name}'"):
        return factory(*arguments)


def load_callable(name: str, option: str) -> Callable[..., Any]:
    """Import `package.module:factory` or `path/file.py:factory`."""
    place, _, attribute = name.rpartition(":")
    try:
        module = _module_of_file(Path(place)) if place.endswith(".py") else _module(place)
    except Exception as err:
        raise BadInputError(
            f"`{option} {name}` cannot be imported: {type(err).__name__}: {first_line(err)}"
        ) from err
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise BadInputError(
            f"`{option} {name}`: {place} has nothing callable named '{attribute}'."
        )
    return factory  # type: ignore[no-any-return] # any callable of the user's


def _module(name: str) -> Any:  # noqa: ANN401 - a module of the user's
    _look_in(Path.cwd())  # as `python -m` does
    return importlib.import_module(name)


def _look_in(folder: Path) -> None:
    """Find modules in `folder`, too."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _module_of_file(path: Path) -> Any:  # noqa: ANN401 - a module of the user's
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    _look_in(path.resolve().parent)  # as Python does for a script
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    name = f"{path.stem}_{place}"  # other folders may have files of that name
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses, pickling and inspection look it up
    spec.loader.exec_module(module)
    return module
