"""Read trained weights from a file; nothing in it is executed."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from models.errors import BadInputError, first_line


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a Lightning .ckpt, a torch file or a .safetensors.

    Raises:
        BadInputError: There is no such file, or it holds something else, or would execute code.
    """
    try:
        content = path.read_bytes()
    except OSError as err:
        raise BadInputError(f"The weights {path} cannot be read: {err.strerror}.") from err
    try:
        if path.suffix == ".safetensors":
            stored: Any = load(content)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about pickles that are then refused
                stored = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, SafetensorError, RuntimeError, EOFError, ValueError) as err:
        raise BadInputError(f"The weights {path} cannot be read: {first_line(err)}") from err
    if isinstance(stored, dict) and isinstance(stored.get("state_dict"), dict):
        stored = stored["state_dict"]
    if not isinstance(stored, dict) or not all(isinstance(v, Tensor) for v in stored.values()):
        raise BadInputError(f"The weights {path} hold no state dict.")
    return stored


def fit_weights(weights: dict[str, Tensor], network: nn.Module, what: str) -> dict[str, Tensor]:
    """Return `weights` named as the state dict of `network`.

    A common prefix such as "model." (a checkpoint of a LightningModule around the network) or
    "network." (ours) is taken off or put on.

    Raises:
        BadInputError: Names or shapes differ; the text names the first that does.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    prefixes = ["", *sorted({name.split(".")[0] + "." for name in (*weights, *wanted)})]
    candidates = [
        {f"{put_on}{name.removeprefix(taken_off)}": tensor for name, tensor in weights.items()}
        for put_on in prefixes
        for taken_off in prefixes
    ]
    for candidate in candidates:
        if wanted.keys() <= candidate.keys():
            fitting = {name: candidate[name] for name in wanted}
            for name, tensor in fitting.items():
                if tuple(tensor.shape) != wanted[name]:
                    raise BadInputError(
                        f"The {what} do not fit: '{name}' has shape "
                        f"{tuple(tensor.shape)}, but the network's has {wanted[name]}."
                    )
            return fitting
    missing = next(name for name in wanted if name not in weights)
    raise BadInputError(f"The {what} do not fit: the network's '{missing}' is not there.")
