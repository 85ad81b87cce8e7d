"""Both names of Lightning: `pytorch_lightning`, and `lightning.pytorch`, as it is newly called.

They are the same code twice, whose classes do not know each other: a `Trainer` of the one leaves a
module of the other alone. A user's module is trained by the `Trainer` of its own package, to which
data of the other are handed over.
"""

import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

PACKAGES = ("pytorch_lightning", "lightning.pytorch")


def package_of(value: object, kind: str) -> Any:  # noqa: ANN401 - a package
    """Return the package whose class `kind` `value` is of; None if it is of neither's."""
    for name in PACKAGES:
        package = sys.modules.get(name)  # what is not imported has no objects
        if package is not None and isinstance(value, getattr(package, kind)):
            return package
    return None


def is_lightning_module(value: object) -> bool:
    """Return whether `value` is a `LightningModule` of either package."""
    return package_of(value, "LightningModule") is not None


def is_data_module(value: object) -> bool:
    """Return whether `value` is a `LightningDataModule` of either package."""
    return package_of(value, "LightningDataModule") is not None


def is_overridden(method: str, value: object, kind: str) -> bool:
    """Return whether `value`, of the class `kind` of either package, has a `method` of its own."""
    package = package_of(value, kind)
    helpers = import_module(f"{package.__name__}.utilities.model_helpers")
    found: bool = helpers.is_overridden(method, value, parent=getattr(package, kind))
    return found


def validates_itself(network: object) -> bool:
    """Return whether `network` is a `LightningModule` with a step for validation."""
    is_module = is_lightning_module(network)
    return is_module and is_overridden("validation_step", network, "LightningModule")


def no_logger(module: object) -> Any:  # noqa: ANN401 - a logger of either
    """Return a logger, which callbacks of `module` may ask for, that keeps nothing."""
    package = package_of(module, "LightningModule")
    return import_module(f"{package.__name__}.loggers.logger").DummyLogger()


@contextmanager
def without_trainers_advice() -> Iterator[None]:
    """Keep back what trainers advise, who cannot know how we use them."""
    for package in PACKAGES:
        logging.getLogger(package).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # Workers would copy what is in memory already.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*have no `val_dataloader`.*")
        warnings.filterwarnings("ignore", ".*have no `validation_step`.*")
        warnings.filterwarnings("ignore", ".*treespec.*", FutureWarning)
        warnings.filterwarnings("ignore", ".*smaller than the logging interval.*")
        # Of both: `models.images` calls the module's own.
        warnings.filterwarnings("ignore", "You have overridden `on_after_batch_transfer` in both")
        # Folded norms are, and layers that a user has frozen.
        warnings.filterwarnings("ignore", ".*in eval mode at the start of training.*")
        yield


def trainer_of(module: object, **settings: Any) -> Any:  # noqa: ANN401 - a Trainer of either
    """Return a `Trainer` of the package of `module`; it shows and keeps nothing by itself."""
    quiet = {
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return package_of(module, "LightningModule").Trainer(**(quiet | settings))


def handed_over(
    data: Any,  # noqa: ANN401 - a data module of either
    module: Any,  # noqa: ANN401 - a module of either
    change: Callable[[Any], Any] | None = None,
) -> Any:  # noqa: ANN401 - a data module of the module's package
    """Return the training batches of `data` as the trainer of `module` takes them.

    Args:
        data: Prepared and set up. A hook that they do not have is the module's, as with Lightning.
        module: A `LightningModule`.
        change: What each batch becomes, if it is changed, after the hooks of `data`.
    """
    package = package_of(module, "LightningModule")
    if change is None and package_of(data, "LightningDataModule") is package:
        return data

    def hook(name: str, batch: Any, *places: Any) -> Any:  # noqa: ANN401 - as Lightning calls it
        if is_overridden(name, data, "LightningDataModule"):
            return getattr(data, name)(batch, *places)
        return getattr(module, name)(batch, *places)

    lent = data

    class HandedOver(package.LightningDataModule):  # type: ignore[misc,name-defined] # at run time
        """The batches of `data`."""

        data = lent

        def train_dataloader(self) -> Any:  # noqa: ANN401 - the user's
            data.trainer = self.trainer
            return data.train_dataloader()

        def val_dataloader(self) -> Any:  # noqa: ANN401 - the user's
            data.trainer = self.trainer
            return data.val_dataloader()

        def on_before_batch_transfer(self, batch: Any, index: int) -> Any:  # noqa: ANN401 - as above
            return hook("on_before_batch_transfer", batch, index)

        def transfer_batch_to_device(self, batch: Any, device: Any, index: int) -> Any:  # noqa: ANN401 - as above
            return hook("transfer_batch_to_device", batch, device, index)

        def on_after_batch_transfer(self, batch: Any, index: int) -> Any:  # noqa: ANN401 - as above
            moved = hook("on_after_batch_transfer", batch, index)
            return moved if change is None else change(moved)

    return HandedOver()


@contextmanager
def without_traces(data: Any) -> Iterator[None]:  # noqa: ANN401 - a data module of either
    """Let `data`, and those that they hand over, forget the trainer that is met in the block."""
    held = [data, *([data.data] if hasattr(type(data), "data") else [])]
    before = [each.trainer for each in held]
    try:
        yield
    finally:
        for each, trainer in zip(held, before, strict=True):
            each.trainer = trainer
