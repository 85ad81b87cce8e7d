"""The same from Python: `compress(model, data)`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from pytorch_lightning import LightningDataModule
from torch import nn

from models.copies import copy_network
from models.data_source import DataOptions, DataSource
from models.errors import BadInputError
from models.lightning import is_data_module
from models.loaders import LoaderData
from models.registry import ModelSpec
from models.resolve import OWN_DATA, resolve_data, resolve_model
from objectives.cache import DEFAULT_LIMIT_BYTES
from objectives.errors import TrialError
from objectives.progress import StopRequested
from search.config import StudyConfig
from search.front import chosen_trial
from search.method import SearchMethod
from search.paths import StudyPaths
from search.session import Session
from search.setup import DATA_SETTINGS, SPEC_SETTINGS, StudySetup, complete, resolve_accelerator


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressed:
    """What a search found."""

    artifact: Path
    """The ONNX file of the best trial."""
    measurements: dict[str, Any]
    """Its user attributes: accuracies, bytes, latency, plan and more; README lists them."""
    study: optuna.Study
    """The whole study; resume it by the same call."""


def compress(
    model: str | nn.Module,
    data: str | LightningDataModule,
    *,
    study: str,
    trained: bool = False,
    studies_dir: str | Path = "studies",
    storage: str | None = None,
    data_root: str | Path = "data",
    accelerator: str = "auto",
    threads: int | None = None,
    method: SearchMethod | None = None,
    timeout_seconds: float | None = None,
    **settings: Any,
) -> Compressed:
    """Search for the smallest file of `model` that still answers well.

    Called again, it resumes the study. The best trial is that of the objective, here the retained
    saving U unless `objective="quality"` asks for the paper's Eq. 5; of a Pareto front it is the
    one with the largest U.

    Args:
        model: A name as `--model` takes it, or a module: see `models.resolve` for what it must do.
            It is copied, never changed.
        data: A name as `--data` takes it, or a `LightningDataModule`; see `models.resolve`.
        study: Name of the study, part of file names.
        trained: Whether the module's weights are trained, so that no baseline is.
        studies_dir: Where databases, artifacts and the cache are kept.
        storage: Database URL; SQLite in `studies_dir` if None.
        data_root: Folder in which built-in data are found or downloaded to.
        accelerator: auto, cpu, cuda or mps.
        threads: Threads that train; those of the study, and of a new one
            `search.crew.default_threads`, if None.
        method: Sampler, number of trials and more; by default the grid for the space "paper",
            100 trials by TPE for the others.
        timeout_seconds: After this time no further trial begins.
        **settings: Any other field of `search.config.StudyConfig`: sparsity, precision, epochs ...

    Raises:
        BadInputError: Something that was given cannot be used; nothing was trained.
        TrialError: No trial could be scored, or none keeps the limits that were set.
        KeyboardInterrupt: It was stopped; the same call resumes it.
    """
    spec = resolve_model(model) if isinstance(model, str) else _spec_of(model)
    defaults = {name: getattr(spec, name) for name in SPEC_SETTINGS}
    config = StudyConfig(
        model=model if isinstance(model, str) else type(model).__name__,
        data=data if isinstance(data, str) else type(data).__name__,
        accelerator=resolve_accelerator(accelerator),
        threads=threads,
        **(defaults | {"objective": "saving"} | settings),
    )
    setup = complete(
        StudySetup(config=config, model=spec, data=_source(data, config, Path(data_root)))
    )
    if trained and isinstance(model, nn.Module):
        setup = setup.with_weights(copy_network(model).cpu().state_dict())
    paths = StudyPaths(Path(studies_dir), study)
    session = Session(setup, paths, storage, method)
    session.prepare(cache_bytes=DEFAULT_LIMIT_BYTES)
    try:
        session.work(timeout_seconds=timeout_seconds)
    except StopRequested as err:
        raise KeyboardInterrupt from err
    if not session.show():
        raise TrialError(f"No trial of study '{study}' could be scored.")
    best = chosen_trial(session.study)
    if best is None:
        raise TrialError(f"No trial of study '{study}' keeps its limits.")
    return Compressed(
        artifact=paths.root / best.user_attrs["artifact"],
        measurements=dict(best.user_attrs),
        study=session.study,
    )


def _spec_of(module: nn.Module) -> ModelSpec:
    pristine = copy_network(module).cpu()
    return ModelSpec(build=lambda *_: copy_network(pristine), data=OWN_DATA, own=True)


def _source(data: str | LightningDataModule, config: StudyConfig, root: Path) -> DataSource:
    if not isinstance(data, str):
        if not is_data_module(data):
            raise BadInputError(
                f"`data` must be a name or a LightningDataModule, not {type(data).__name__}."
            )
        return LoaderData(data)
    chosen = {name: getattr(config, name) for name in DATA_SETTINGS}
    return resolve_data(data, DataOptions(root=root, **chosen))
