"""What a study works on: its config, with the model, the data and the weights that it names."""

import argparse
import hashlib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.data_source import DataOptions, DataSource
from models.errors import BadInputError
from models.registry import DATA, MODELS, ModelSpec
from models.resolve import resolve_data, resolve_model
from models.weights import fit_weights, read_weights
from objectives.context import Context
from objectives.progress import Progress, SilentProgress
from search.config import StudyConfig
from search.presets import preset_settings

SPEC_SETTINGS = ("epochs", "qat_epochs", "batch_size", "lr", "input_size")
ONLY_IN_SPACES = {
    "sparsity": ("paper",),
    "precision": ("paper",),
    "allocation": ("paper", "wide"),
    "density": ("wide",),
}
"""Options that say what one space holds; another has no use for them."""
DATA_SETTINGS = ("input_size", "train_fraction", "test_fraction", "augment")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySetup:
    """Everything that a trial needs and no database holds."""

    config: StudyConfig
    model: ModelSpec
    data: DataSource
    weights: dict[str, Tensor] | None = None
    """Trained weights, named as the network's."""

    def context(self, progress: Progress | None = None) -> Context:
        """Return what the stages share."""
        return Context(
            model=self.model,
            data=self.data,
            seed=self.config.seed,
            accelerator=self.config.accelerator,
            threads=self.config.threads or 1,
            layers=self.config.layers,
            weights=self.weights,
            progress=progress or SilentProgress(),
        )

    def with_weights(self, weights: dict[str, Tensor]) -> "StudySetup":
        """Return the setup with trained weights, named as the network's, instead of a baseline."""
        digest = hashlib.sha256()
        for name in sorted(weights):
            digest.update(name.encode())
            digest.update(weights[name].contiguous().flatten().view(torch.uint8).numpy().data)
        config = replace(self.config, weights=digest.hexdigest()[:16])
        return replace(self, config=config, weights=weights)

    @property
    def default_name(self) -> str:
        """Name of the study unless the user gives one: <model>-<data>-<space>."""
        parts = (self.config.model, self.config.data, self.config.space)
        return "-".join(_file_name(part) for part in parts)


def _file_name(name: str) -> str:
    """Return `name` without a path and without what no file name should have."""
    kind, _, rest = name.rpartition(":")
    if kind == "folder":
        rest = Path(rest).name.split(".")[0]
    elif kind.endswith(".py"):
        rest = f"{Path(kind).stem}.{rest}"
    elif kind and kind != "torchvision":
        rest = f"{kind}.{rest}"
    return "".join(sign if sign.isalnum() or sign in "._-" else "_" for sign in rest)


def setup_from_options(options: argparse.Namespace) -> StudySetup:
    """Return what the options of `search.run` name; data are read, nothing is trained.

    Raises:
        BadInputError: Something that was named or set cannot be used.
    """
    given = {
        field.name: getattr(options, field.name)
        for field in fields(StudyConfig)
        if getattr(options, field.name, None) is not None
    }
    given.pop("weights", None)
    if options.only_plan is not None:
        given["space"] = "plan"
    elif options.methods is not None:
        given.setdefault("space", "wide")
    _refuse_settings_of_other_spaces(given)
    if given.get("space") == "wide" and "allocation" in given:
        given["allocations"] = (given.pop("allocation"),)
    spec = resolve_model(options.model)
    settings: dict[str, Any] = {name: getattr(spec, name) for name in SPEC_SETTINGS}
    settings |= {"data": spec.data} | preset_settings(options.preset, spec) | given
    settings["accelerator"] = resolve_accelerator(options.accelerator)
    if settings["data"].rpartition(":")[0] not in {"", "folder"}:
        settings["input_size"] = given.get("input_size")  # the data decide it themselves
    config = StudyConfig(**settings)
    chosen = {name: getattr(config, name) for name in DATA_SETTINGS}
    data = resolve_data(config.data, DataOptions(root=options.data_root, **chosen))
    return complete(StudySetup(config=config, model=spec, data=data), options.weights)


def _refuse_settings_of_other_spaces(given: dict[str, Any]) -> None:
    space = given.get("space", "paper")
    for name, spaces in ONLY_IN_SPACES.items():
        if name in given and space not in spaces:
            known = " or ".join(spaces)
            raise BadInputError(
                f"`--{name}` goes with the space {known}, but the study's is {space}."
            )


def complete(setup: StudySetup, weights_file: Path | None = None) -> StudySetup:
    """Read data and weights, and return the setup with their hashes in its config."""
    setup.data.setup()
    context = setup.context()
    config = replace(
        setup.config,
        data_fingerprint=setup.data.fingerprint(),
        model_fingerprint=context.model_fingerprint(),
    )
    completed = replace(setup, config=config)
    if weights_file is None:
        return completed
    stored = read_weights(weights_file)
    return completed.with_weights(fit_weights(stored, context.build_network(), weights_file))


def has_names(config: StudyConfig) -> bool:
    """Return whether names say what the study works on; not so if it got objects from Python."""
    model = ":" in config.model or config.model in MODELS.names()
    return model and (":" in config.data or config.data in DATA.names())


def reopen(config: StudyConfig, study: str, data_root: Path) -> StudySetup:
    """Return what the config of a stored study names; data are read, nothing is trained.

    Raises:
        BadInputError: No name says what it was, or it is no longer the same.
    """
    if not has_names(config):
        raise BadInputError(
            f"Study '{study}' was made from Python with objects of its own (model {config.model}, "
            f"data {config.data}), which no name opens again."
        )
    chosen = {name: getattr(config, name) for name in DATA_SETTINGS}
    data = resolve_data(config.data, DataOptions(root=data_root, **chosen))
    setup = complete(StudySetup(config=config, model=resolve_model(config.model), data=data))
    for what in ("data", "model"):
        if getattr(setup.config, f"{what}_fingerprint") != getattr(config, f"{what}_fingerprint"):
            raise BadInputError(
                f"The {what} '{getattr(config, what)}' changed since study '{study}' was made."
            )
    return setup


def resolve_accelerator(name: str) -> str:
    """Return cpu, cuda or mps for `name`, which may be auto.

    Raises:
        BadInputError: This machine has no such device.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return next(device for device, there in available.items() if there)
    if not available[name]:
        raise BadInputError(f"`--accelerator {name}`: this machine has no such device.")
    return name
