"""What a study works on: its config, with the model, the data and the weights that it names."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.data_source import DataOptions, DataSource
from models.errors import BadInputError
from models.registry import DATA, MODELS, ModelSpec
from models.resolve import resolve_data, resolve_model
from objectives.artifact.energy import ENERGY_VERSION
from objectives.context import Context
from objectives.preflight.answers import answers_fit
from objectives.progress import Progress, SilentProgress
from objectives.runtimes import DEFAULT, runtime_named
from objectives.runtimes import NAMES as RUNTIMES
from objectives.score.accuracy import ACCURACY
from objectives.score.base import Mode, Score
from objectives.score.logged import LoggedScore
from objectives.score.named import fingerprint_of, score_named
from objectives.stages.quantize import PAPER_PRECISIONS
from search.settings.config import StudyConfig
from search.settings.differences import change
from search.settings.given import Given
from search.settings.presets import preset_settings

SPEC_SETTINGS = ("epochs", "qat_epochs", "batch_size", "lr", "input_size")
ONLY_IN_SPACES = {
    "sparsity": ("paper",),
    "precision": ("paper",),
    "allocation": ("paper", "wide"),
    "density": ("wide",),
    "ranges": ("wide",),
}
"""Options that say what one space holds; another has no use for them."""
OPTIONS = {"ranges": "range"}
"""What options are called whose settings have another name."""
NAMELESS = "function:"
"""What the name of a metric that was given as a function begins with."""
DATA_SETTINGS = (
    "input_size",
    "train_fraction",
    "held_out",
    "test_fraction",
    "augment",
    "data_memory_gb",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySetup:
    """Everything that a trial needs and no database holds."""

    config: StudyConfig
    model: ModelSpec
    data: DataSource
    score: Score = ACCURACY
    weights: dict[str, Tensor] | None = None
    """Trained weights, named as the network's."""

    def context(self, progress: Progress | None = None) -> Context:
        """Return what the stages share."""
        return Context(
            model=self.model,
            data=self.data,
            score=self.score,
            seed=self.config.seed,
            accelerator=self.config.accelerator,
            threads=self.config.threads or 1,
            layers=self.config.layers,
            fingerprint=self.config.model_fingerprint,
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


def make_setup(
    given: Given,
    settings: Mapping[str, Any],
    *,
    accelerator: str,
    data_root: Path,
    model_fingerprint: str | None = None,
) -> StudySetup:
    """Return what a study works on; data are read, nothing is trained.

    Args:
        given: The network, the data and the weights.
        settings: Fields of `StudyConfig` that were set; others are the preset's or the model's.
        accelerator: auto, cpu, cuda or mps.
        data_root: Folder in which built-in data are found or downloaded to.
        model_fingerprint: Of the network, where another process has told it.

    Raises:
        BadInputError: Something that was named or set cannot be used.
    """
    chosen = _of_its_space(settings)
    spec = given.spec()
    data_name = given.data_name(spec)
    preset = preset_settings(chosen.get("preset"), spec)
    defaults: dict[str, Any] = {name: getattr(spec, name) for name in SPEC_SETTINGS} | preset
    if given.decides_inputs(data_name):
        defaults = {name: value for name, value in defaults.items() if name not in DATA_SETTINGS}
    defaults |= _of_its_runtime(chosen)
    named = {
        "model": given.model_name(),
        "data": data_name,
        "accelerator": resolve_accelerator(accelerator),
    }
    try:
        config = StudyConfig(**(defaults | chosen | named))
    except TypeError as err:
        raise BadInputError(f"A setting is of a wrong type: {err}.") from err
    if "energy" in config.extra_objectives:
        config = replace(config, energy_version=ENERGY_VERSION)
    options = DataOptions(
        root=data_root, **{name: getattr(config, name) for name in DATA_SETTINGS}
    )
    if given.decides_inputs(data_name) and options != DataOptions(root=data_root):
        raise BadInputError(
            f"The data '{data_name}' decide sizes, shares and augmentation themselves: leave out "
            "--input-size, --train-fraction, --held-out, --test-fraction, --augment and "
            "--data-memory-gb."
        )
    data = given.data_source(data_name, options)
    if "task" in chosen:
        data.ask(chosen["task"])
    asked = {name: chosen.get(name) for name in ("metric", "metric_args", "metric_mode")}
    setup = StudySetup(config=config, model=spec, data=data)
    return complete(setup, given, model_fingerprint, task_said="task" in chosen, **asked)


def _of_its_space(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return `settings` with the space that they are of, as the config wants them."""
    chosen = dict(settings)
    if chosen.get("only_plan") is not None:
        chosen["space"] = "plan"
    elif chosen.get("methods") is not None:
        chosen.setdefault("space", "wide")
    space = chosen.get("space", "paper")
    for name, spaces in ONLY_IN_SPACES.items():
        if name in chosen and space not in spaces:
            known = " or ".join(spaces)
            option = OPTIONS.get(name, name)
            raise BadInputError(
                f"`--{option}` goes with the space {known}, but the study's is {space}."
            )
    if space == "wide" and "allocation" in chosen:
        chosen["allocations"] = (chosen.pop("allocation"),)
    return chosen


def _of_its_runtime(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return defaults that the runtime has otherwise.

    Raises:
        BadInputError: It is not installed.
    """
    name = chosen.get("runtime", DEFAULT)
    if name not in RUNTIMES:  # a law of the config names those that there are
        return {}
    runtime = runtime_named(name)
    runtime.require()
    return {"precision": runtime.having(PAPER_PRECISIONS)}


def complete(
    setup: StudySetup,
    given: Given,
    model_fingerprint: str | None = None,
    *,
    task_said: bool,
    metric: str | None = None,
    metric_args: str | None = None,
    metric_mode: Mode | None = None,
) -> StudySetup:
    """Read data and weights, and return the setup with their hashes and its score in its config.

    Raises:
        BadInputError: They cannot be read, or there is no such score.
    """
    setup.data.setup()
    score = score_named(
        given.metric or metric,
        arguments=metric_args,
        mode=metric_mode,
        data=setup.data,
        build=setup.context().build_network,
    )
    setup = replace(setup, score=score)
    if isinstance(score, LoggedScore) and not task_said and not answers_fit(setup.context()):
        with suppress(BadInputError):  # of data that have but one task
            setup.data.ask("own")  # its labels are what its steps make of them
            setup.data.setup()
    context = replace(setup.context(), fingerprint="")  # what it is now, whatever it was
    config = replace(
        setup.config,
        task=setup.data.task.name,
        metric=_metric_name(given, metric, score),
        metric_args=metric_args or "{}",
        metric_mode=score.mode,
        metric_is_share=score.is_share,
        metric_fingerprint=fingerprint_of(score),
        data_fingerprint=setup.data.fingerprint(),
        model_fingerprint=model_fingerprint or context.model_fingerprint(),
    )
    completed = replace(setup, config=config)
    weights = None if given.weights is None else given.weights_for(context.build_network())
    return completed if weights is None else completed.with_weights(weights)


def _metric_name(given: Given, metric: str | None, score: Score) -> str:
    """Return what opens the score again; of a function that has no name, that it is one."""
    if given.metric is not None:
        return f"{NAMELESS}{score.name}"
    return metric if metric is not None and ":" in metric else score.name


def has_names(config: StudyConfig) -> bool:
    """Return whether names say what the study works on; not so if it got objects from Python."""
    model = ":" in config.model or config.model in MODELS.names()
    data = ":" in config.data or config.data in DATA.names()
    return model and data and not config.metric.startswith(NAMELESS)


def reopen(config: StudyConfig, study: str, data_root: Path) -> StudySetup:
    """Return what the config of a stored study names; data are read, nothing is trained.

    Raises:
        BadInputError: No name says what it was, or it is no longer the same.
    """
    if not has_names(config):
        metric = f", metric {config.metric}" if config.metric.startswith(NAMELESS) else ""
        raise BadInputError(
            f"Study '{study}' was made from Python with objects of its own (model {config.model}, "
            f"data {config.data}{metric}), which no name opens again."
        )
    chosen = {name: getattr(config, name) for name in DATA_SETTINGS}
    data = resolve_data(config.data, DataOptions(root=data_root, **chosen))
    data.ask(config.task)
    named = StudySetup(config=config, model=resolve_model(config.model), data=data)
    setup = complete(
        named,
        Given(model=config.model, data=config.data),
        task_said=True,
        metric=config.metric,
        metric_args=config.metric_args,
        metric_mode=config.metric_mode,
    )
    for what in ("data", "model", "metric"):
        if getattr(setup.config, f"{what}_fingerprint") != getattr(config, f"{what}_fingerprint"):
            told = change(what, getattr(config, what))
            raise BadInputError(f"Since study '{study}' was made, {told}: undo that.")
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
    if name != "auto" and name not in available:
        raise BadInputError(f"`accelerator` must be auto, cpu, cuda or mps, but got {name!r}.")
    if name == "auto":
        return next(device for device, there in available.items() if there)
    if not available[name]:
        raise BadInputError(f"`--accelerator {name}`: this machine has no such device.")
    return name
