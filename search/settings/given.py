"""What a caller hands over to be worked on: a network, data and weights, by name or as objects."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from models.copies import copy_network
from models.data_source import DataOptions, DataSource
from models.errors import BadInputError
from models.lightning import is_data_module
from models.loaders import LoaderData
from models.registry import ModelSpec
from models.resolve import OWN_DATA, resolve_data, resolve_model
from models.weights import fit_weights, read_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The network, the data and the weights of a study."""

    model: str | nn.Module
    """A name, or a module, which nobody else changes."""
    data: Any = None
    """A name, a `LightningDataModule`, or None for the data of the model."""
    weights: Path | Mapping[str, Tensor] | None = None
    """Trained ones, that the baseline has; None trains one."""
    metric: Callable[..., Any] | None = None
    """What scores a file, where that has no name."""

    def __post_init__(self) -> None:
        if not isinstance(self.model, str | nn.Module):
            raise BadInputError(
                f"`model` must be a name or an nn.Module, not {type(self.model).__name__}."
            )
        if not (self.data is None or isinstance(self.data, str) or is_data_module(self.data)):
            raise BadInputError(
                f"`data` must be a name or a LightningDataModule, not {type(self.data).__name__}."
            )

        weights: Any = self.weights
        if isinstance(weights, Mapping):
            other = [name for name, value in weights.items() if not isinstance(value, Tensor)]
            if other:
                raise BadInputError(
                    f"`weights` must be tensors by name, but '{other[0]}' is "
                    f"{type(weights[other[0]]).__name__}."
                )
        elif not isinstance(weights, Path | None):
            raise BadInputError(
                f"`weights` must be a file or tensors by name, not {type(weights).__name__}."
            )

    def spec(self) -> ModelSpec:
        """Return how the network is built.

        Raises:
            BadInputError: There is no such network, or its code cannot be imported.
        """
        if isinstance(self.model, str):
            return resolve_model(self.model)
        module = self.model
        return ModelSpec(build=lambda *_: copy_network(module), data=OWN_DATA, own=True)

    def model_name(self) -> str:
        """Return the name that the config has, which is the class of an object."""
        return self.model if isinstance(self.model, str) else type(self.model).__name__

    def data_name(self, spec: ModelSpec) -> str:
        """Return the name that the config has, which is the class of an object."""
        if self.data is None:
            return spec.data
        return self.data if isinstance(self.data, str) else type(self.data).__name__

    def decides_inputs(self, name: str) -> bool:
        """Return whether the data called `name` have sizes and augmentation of their own."""
        is_named = self.data is None or isinstance(self.data, str)
        return not is_named or name.rpartition(":")[0] not in {"", "folder"}

    def data_source(self, name: str, options: DataOptions) -> DataSource:
        """Return the data called `name`, not read yet.

        Raises:
            BadInputError: There are none, or their code cannot be imported.
        """
        if self.data is None or isinstance(self.data, str):
            return resolve_data(name, options)
        return LoaderData(self.data)

    def weights_for(self, network: nn.Module) -> dict[str, Tensor] | None:
        """Return the trained weights, named as the state dict of `network`.

        Raises:
            BadInputError: The file cannot be read, or the weights do not fit.
        """
        if self.weights is None:
            return None
        if isinstance(self.weights, Path):
            return fit_weights(read_weights(self.weights), network, f"weights {self.weights}")
        return fit_weights(dict(self.weights), network, "weights")
