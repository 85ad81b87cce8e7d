"""The same from Python: `compress(model, data)`."""

import difflib
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import optuna
from pytorch_lightning import LightningDataModule
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn import UninitializedParameter

from models.copies import copy_network
from models.errors import BadInputError
from objectives.errors import MeasurementError, TrialError
from objectives.plan import Plan
from objectives.progress import StopRequested
from search.launch import Launch, work_on
from search.results.front import chosen_trial
from search.sampling.method import SearchMethod
from search.settings.config import StudyConfig
from search.settings.given import Given
from search.settings.setup import make_setup
from search.settings.typed import typed
from search.storage.connecting import holds_study
from search.storage.file_finding import FileFinder
from search.storage.found import located
from search.storage.paths import StudyPaths
from search.storage.study import quiet_optuna
from search.storage.trials import made_trials
from search.workers.task import Task

log = logging.getLogger(__name__)

NOT_SET = {"model", "data", "weights", "only_plan", "accelerator"}
NOT_SET |= {"model_fingerprint", "data_fingerprint", "metric_fingerprint", "metric_is_share"}
NOT_SET |= {"energy_version", "metric"}
"""Fields of the config that have arguments of their own, or are found out."""


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
    data: str | LightningDataModule | None = None,
    *,
    study: str,
    trained: bool = False,
    weights: str | Path | Mapping[str, Tensor] | None = None,
    plan: str | Plan | None = None,
    studies_dir: str | Path = "studies",
    storage: str | None = None,
    artifacts: str | None = None,
    data_root: str | Path = "data",
    accelerator: str = "auto",
    workers: int | None = 1,
    trials_per_gpu: int | None = None,
    cluster: str | None = None,
    confirm: int | None = None,
    retry_failed: bool = False,
    cache_gb: float = 20.0,
    heartbeat_seconds: int = 5,
    timeout_seconds: float | None = None,
    metric: str | Callable[..., Any] | None = None,
    **settings: Any,
) -> Compressed:
    """Search for the smallest file of `model` that still answers well.

    Called again, it resumes the study; a module that is not trained then begins with the first
    weights that the study began with. The best trial is that of the objective, here the retained
    saving U unless `objective="quality"` asks for the paper's Eq. 5; of a Pareto front it is the
    one with the largest U.

    Args:
        model: A name as `--model` takes it, or a module: see `models.resolve` for what it must do.
            It is copied, never changed.
        data: A name as `--data` takes it, or a `LightningDataModule`; None is the model's own.
        study: Name of the study, part of file names.
        trained: Whether the module's weights are trained, so that no baseline is.
        weights: Trained weights that the baseline has, a file or a state dict.
        plan: No search: carry out this one, as a report's commands do.
        studies_dir: Where databases, artifacts and the cache are kept.
        storage: Database URL; SQLite in `studies_dir` if None.
        artifacts: URL of a store that each trial's files go to, too, where several machines have
            no folder in common: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or file:///FOLDER. The
            study keeps it.
        data_root: Folder in which built-in data are found or downloaded to.
        accelerator: auto, cpu, cuda or mps.
        workers: Processes that run trials; 1 is this one alone, None as many as keep the cores
            busy. What is given then travels to them by cloudpickle.
        trials_per_gpu: Processes that share a GPU.
        cluster: Address of a Dask cluster whose workers run the trials.
        confirm: With how many other seeds the chosen plan is trained in the end.
        retry_failed: Whether what failed is queued again first, with the same parameters.
        cache_gb: Size of the stage cache, 10^9 bytes.
        heartbeat_seconds: Interval of a running trial's sign of life.
        timeout_seconds: After this time no further trial begins.
        metric: What files are scored by, as `--metric` takes it, or a function of a file's path
            (and of the part, "validation" or "test", if it takes two), with `metric_mode`.
        **settings: Fields of `search.settings.config.StudyConfig`, as sparsity, precision, epochs,
            preset, and of `search.sampling.method.SearchMethod`, as sampler and trials.

    Raises:
        BadInputError: Something that was given cannot be used; nothing was trained.
        TrialError: No trial could be scored, or none keeps the limits that were set.
        AwayError: The database, or the store of files, stays away; the same call resumes it.
        KeyboardInterrupt: It was stopped; the same call resumes it.
    """
    chosen, method = _sorted_out(settings)
    launch = Launch(
        **typed(
            Launch,
            {
                "timeout_seconds": timeout_seconds,
                "workers": workers,
                "trials_per_gpu": trials_per_gpu,
                "cluster": cluster,
                "confirm": confirm,
                "artifacts": artifacts,
                "retry_failed": retry_failed,
            },
        )
    )
    if isinstance(metric, str):
        chosen["metric"] = metric
    elif metric is not None and not callable(metric):
        raise BadInputError(f"`metric` must be a name or a function, but got {metric!r}.")
    if plan is not None:
        chosen["only_plan"] = _as_json(plan)
    if trained:
        if weights is not None or not isinstance(model, nn.Module):
            raise BadInputError("`trained` goes with a module, whose weights are then used.")
        weights = copy_network(model).cpu().state_dict()
    if not isinstance(study, str):
        raise BadInputError(f"`study` must be text, but got {study!r}.")
    paths = located(Path(studies_dir), study, storage)
    with quiet_optuna():
        network = model
        if isinstance(model, nn.Module):
            is_resumed = holds_study(storage or paths.url, study)
            network = _first(model, paths.first_weights, is_resumed=is_resumed)
        given = Given(
            model=network,
            data=data,
            metric=metric if callable(metric) else None,
            weights=Path(weights) if isinstance(weights, str) else weights,
        )
        setup = make_setup(given, chosen, accelerator=accelerator, data_root=Path(data_root))
        task = Task.of(
            given,
            chosen,
            setup.config.model_fingerprint,
            accelerator=accelerator,
            data_root=Path(data_root),
            method=method,
            paths=paths,
            storage=storage,
            heartbeat_seconds=heartbeat_seconds,
            cache_bytes=int(cache_gb * 10**9),
        )
        try:
            session = work_on(setup, task, launch)
        except StopRequested as err:
            raise KeyboardInterrupt from err
    return _best(session.study, paths)


def _as_json(plan: object) -> str:
    if isinstance(plan, Plan):
        return plan.to_json()
    if not isinstance(plan, str):
        raise BadInputError(
            f"`plan` must be a Plan, or one as JSON, but got {type(plan).__name__}."
        )
    return plan


def _sorted_out(settings: Mapping[str, Any]) -> tuple[dict[str, Any], SearchMethod]:
    """Return the settings of the config, and how the study is searched.

    Raises:
        BadInputError: There is no such setting; the text names its neighbours.
    """
    of_config = {each.name for each in fields(StudyConfig)} - NOT_SET
    of_method = {each.name for each in fields(SearchMethod)}
    for name in settings:
        if name not in of_config | of_method:
            near = difflib.get_close_matches(name, of_config | of_method, n=3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise BadInputError(f"`compress` has no setting '{name}'.{hint}")
    chosen: dict[str, Any] = {"objective": "saving"}
    chosen |= {name: value for name, value in settings.items() if name in of_config}
    method = {name: value for name, value in settings.items() if name in of_method}
    return typed(StudyConfig, chosen), SearchMethod(**typed(SearchMethod, method))


def _first(module: nn.Module, file: Path, *, is_resumed: bool) -> nn.Module:
    """Return a copy of `module` with the weights that its study began with.

    Those of a new module are random, and would make it another network each time.
    """
    network = copy_network(module).cpu()
    lazy = any(isinstance(each, UninitializedParameter) for each in network.parameters())
    if is_resumed and file.is_file() and not lazy:
        with suppress(RuntimeError):  # it is another network now, and the study says so
            network.load_state_dict(load(file.read_bytes()))
    return network


def _best(study: optuna.Study, paths: StudyPaths) -> Compressed:
    if not made_trials(study):
        raise TrialError(f"No trial of study '{paths.study}' could be scored.")
    best = chosen_trial(study)
    if best is None:
        raise TrialError(f"No trial of study '{paths.study}' keeps its limits.")
    try:
        artifact = FileFinder(study, paths).find(best)
    except MeasurementError as err:  # what is known of it still holds
        log.warning("%s", err)
        artifact = paths.root / best.user_attrs["artifact"]
    return Compressed(artifact=artifact, measurements=dict(best.user_attrs), study=study)
