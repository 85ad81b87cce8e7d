"""Carry a plan out: stages through the cache, then export, measure, quality."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from models.tasks import MULTICLASS
from objectives.artifact.container_file import write_container
from objectives.artifact.export import export_onnx
from objectives.artifact.measure import Measurement, measure_file
from objectives.artifact.sizes import gzip_bytes
from objectives.cache.stage_cache import StageCache, StageKey
from objectives.container.format import encode
from objectives.context import AfterEpoch, Context
from objectives.errors import BaselineError, TrialError
from objectives.files import write_atomically
from objectives.network.state import NetworkState
from objectives.plan import Plan
from objectives.progress import CountingProgress
from objectives.recipe import Recipe
from objectives.result import Baseline, Cost, Result
from objectives.runtimes import DEFAULT, runtime_named
from objectives.runtimes.base import Runtime
from objectives.score.accuracy import ACCURACY
from objectives.stages.base import Stage
from objectives.training.malloc import return_freed_memory


class Pipeline:
    """Turns plans into measured artifacts; knows nothing of studies.

    Args:
        context: What stages share.
        cache: Where their results are kept.
        baseline_file: Where the uncompressed artifact goes.
        coders: How an artifact is coded into the container beside it, as `objectives.container`
            names it; where there is any, the container's size is what counts, else gzip's.
        runtime: What the artifact is written for and measured by; ONNX Runtime if None.
        with_ram: Whether its memory is measured even where that takes a process of its own.
    """

    def __init__(
        self,
        context: Context,
        cache: StageCache,
        baseline_file: Path,
        coders: Sequence[str] = (),
        runtime: Runtime | None = None,
        *,
        with_ram: bool = False,
    ) -> None:
        self.context = context
        self.runtime = runtime or runtime_named(DEFAULT)
        self._with_ram = with_ram
        self._coders = coders
        self._cache = cache
        self._baseline_file = baseline_file
        self._baselines: dict[tuple[Recipe, Stage], Baseline] = {}
        self._measurements: dict[bytes, Measurement] = {}
        """By the SHA-256 of a file: the uncompressed trial's is the baseline's."""
        self._data_fingerprint = context.data.fingerprint()
        self._model_fingerprint = context.model_fingerprint()
        self._layer_sizes = context.layer_sizes()

    def run(
        self,
        plan: Plan,
        artifact: Path,
        after_epoch: AfterEpoch | None = None,
        cost: Cost | None = None,
    ) -> Result:
        """Carry out `plan`, write its file to `artifact` and measure that file.

        Args:
            plan: What to do.
            artifact: Where the file goes; where the runtime has a form of its own, it goes beside
                it under the same name with its suffix, and is what is measured.
            after_epoch: Told, after each epoch of fine-tuning that is not in the cache, how many
                the plan has up to there and its worth on validation; what it raises ends the plan.
            cost: What it takes is added to this, also where the plan does not come to its end.

        Raises:
            TrialError: The result cannot be scored.
            StopRequested: The study is to stop.
        """
        cost = Cost() if cost is None else cost
        baseline = self._baseline(plan, cost)
        context = replace(
            self.context, recipe=plan.recipe, teacher=self._teacher(plan), after_epoch=after_epoch
        )
        state = self._compress(plan, context, cost)
        measurement = self._measured(state, artifact, cost)
        self.context.progress.stage("code")
        with cost.timed("code"):
            ours = self.runtime.suffix == artifact.suffix  # containers hold our files
            container = write_container(artifact, self._coders) if ours else None
        sparsity, bits = self._nominal(plan, state)
        return Result(
            measurement=replace(
                measurement,
                container_bytes=container.size_bytes if container else None,
                container_coder=container.coder if container else None,
                ships_container=bool(self._coders),
            ),
            baseline=baseline,
            score=self.context.score,
            sparsity=sparsity,
            bits=bits,
            stage_keys={settings.stage: key.digest for key, settings in self._keys(plan)},
            cost=cost,
        )

    def stage_bytes(self, plan: Plan) -> dict[str, int]:
        """Return the bytes after each stage of `plan`, in order, what is cached not trained again.

        First the baseline's raw file, then gzip of what each stage left; where containers count,
        last the container, coded by each of the coders alone, and without the dictionary that
        coder and decoder share.
        """
        context = replace(self.context, recipe=plan.recipe, teacher=self._teacher(plan))
        state, cost = NetworkState(weights={}), Cost()
        sizes: dict[str, int] = {}
        content = b""
        for key, settings in self._keys(plan):
            state = self._after(key, settings, state, context, cost)
            content = export_onnx(state, context)
            if not sizes:
                sizes["float32, not coded"] = len(content)
            sizes[f"{settings.stage}, gzip"] = gzip_bytes(content)
        for coder in self._coders:
            sizes[f"{coder}"] = len(encode(content, methods=("raw", coder)))
        if self._coders:
            alone = encode(content, methods=("raw", self._coders[-1]), dictionary=b"")
            sizes[f"{self._coders[-1]}, no shared dictionary"] = len(alone)
        return sizes

    def with_seed(self, seed: int, baseline_file: Path) -> "Pipeline":
        """Return a pipeline that differs in its seed only."""
        context = replace(self.context, seed=seed)
        return Pipeline(
            context,
            self._cache,
            baseline_file,
            self._coders,
            self.runtime,
            with_ram=self._with_ram,
        )

    def pending_epochs(self, plans: Iterable[Plan]) -> int:
        """Return the epochs that `plans` will train: each stage once, none that is cached."""
        return sum(settings.epochs for settings in self.pending_stages(plans))

    def pending_stages(self, plans: Iterable[Plan]) -> list[Stage]:
        """Return the stages of `plans` that will train: each once, none that is cached."""
        stages = {key: settings for plan in plans for key, settings in self._keys(plan)}
        return [
            settings
            for key, settings in stages.items()
            if settings.epochs > 0 and key not in self._cache
        ]

    def is_cached(self, plan: Plan) -> bool:
        """Return whether each stage of `plan` that trains can be read instead."""
        return all(
            settings.epochs == 0 or key in self._cache for key, settings in self._keys(plan)
        )

    def would_wait(self, plan: Plan) -> bool:
        """Return whether another process is training what `plan` needs first."""
        missing = (
            key
            for key, settings in self._keys(plan)
            if settings.epochs > 0 and key not in self._cache
        )
        first = next(missing, None)
        return first is not None and self._cache.is_computed_elsewhere(first)

    def baseline_state(self, plan: Plan, cost: Cost | None = None) -> NetworkState:
        """Return the baseline of `plan`, trained now if it is not in the cache."""
        uncompressed = plan.uncompressed()
        context = replace(self.context, recipe=uncompressed.recipe)
        return self._compress(uncompressed, context, cost or Cost())

    def _teacher(self, plan: Plan) -> NetworkState | None:
        return self.baseline_state(plan) if plan.recipe.distill_weight > 0 else None

    def _nominal(self, plan: Plan, state: NetworkState) -> tuple[float, float]:
        """Return Eq. 5's s and p: of the plan, or counted where it has more than these two.

        Counted are, over the layers that are compressed, the share of the baseline's weights that
        are zero or gone, and the bits of a mean remaining weight.
        """
        if plan.is_of_the_paper():
            masking, stored = plan.of_the_paper("masking"), plan.of_the_paper("representation")
            kept = masking.kept_weights(self._layer_sizes)
            return masking.overall_sparsity(self._layer_sizes), stored.mean_bits(kept)
        remaining, bits = 0, 0.0
        for name, layer in self.context.layers_of(self.context.network_of(state)).items():
            mask = state.masks.get(name)
            count = layer.weight.numel() if mask is None else int(mask.sum())
            stored = state.formats.get(name)
            remaining += count
            has_zeros = count < layer.weight.numel()
            bits += count * (32 if stored is None else stored.bits_per_weight(has_zeros=has_zeros))
        return 1 - remaining / sum(self._layer_sizes.values()), bits / max(1, remaining)

    def _baseline(self, plan: Plan, cost: Cost) -> Baseline:
        """Return the plan's baseline, made and measured once per process."""
        uncompressed = plan.uncompressed()
        made_by = uncompressed.recipe, uncompressed.train
        if made_by not in self._baselines:
            try:
                state = self.baseline_state(plan, cost)
                measurement = self._measured(state, self._baseline_file, cost)
            except TrialError as err:
                raise BaselineError(str(err)) from err
            self._baselines[made_by] = Baseline(
                measurement=measurement, checkpoint_bytes=state.checkpoint_bytes
            )
        return self._baselines[made_by]

    def _compress(self, plan: Plan, context: Context, cost: Cost) -> NetworkState:
        state, epochs = NetworkState(weights={}), 0
        for key, settings in self._keys(plan):
            watched = replace(context, after_epoch=_later(context.after_epoch, epochs))
            context.progress.stage(settings.stage)
            with cost.timed(settings.stage):
                state = self._after(key, settings, state, watched, cost)
            epochs += 0 if settings is plan.train else settings.epochs
        return state

    def _measured(self, state: NetworkState, artifact: Path, cost: Cost) -> Measurement:
        """Write the file of `state` to `artifact` and measure it, each content once."""
        self.context.progress.stage("export")
        shipped = artifact.with_suffix(self.runtime.suffix)
        with cost.timed("export"):
            content = export_onnx(state, self.context)
            write_atomically(artifact, content)
            digest = hashlib.sha256(content).digest()
            del content
            self.runtime.write(artifact, shipped, self.context.data)
            if digest not in self._measurements:
                self.runtime.check(artifact, shipped, self.context.data)
            return_freed_memory()
        self.context.progress.stage("measure")
        with cost.timed("measure"):
            if digest not in self._measurements:
                self._measurements[digest] = measure_file(
                    shipped,
                    self.context.data,
                    self.context.score,
                    self.runtime,
                    with_ram=self._with_ram,
                )
            return self._measurements[digest]

    def _after(
        self,
        key: StageKey,
        settings: Stage,
        state: NetworkState,
        context: Context,
        cost: Cost,
    ) -> NetworkState:
        if settings.epochs == 0:  # rounding costs less than reading an entry
            return settings.apply(state, context)

        counting = CountingProgress(context.progress)

        def apply() -> NetworkState:
            result = settings.apply(state, replace(context, progress=counting))
            return_freed_memory()
            return result

        try:
            result, _ = self._cache.get_or_compute(key, apply, context.progress)
        finally:
            cost.epochs_trained += round(counting.epochs)
        return result

    def _keys(self, plan: Plan) -> Iterator[tuple[StageKey, Stage]]:
        before = ""
        for settings in plan.stages():
            recipe = plan.recipe if before else plan.recipe.of_baseline()
            key = StageKey.of(
                stage=settings.key_name,
                version=settings.version,
                settings=_decisive(settings),
                recipe=_decisive(recipe) | _teaching(recipe),
                before=before,
                model=self._model_fingerprint + self.context.private,
                data=self._asked_of_data(settings),
                seed=self.context.seed,
                accelerator=self.context.accelerator,
                threads=self.context.threads,
                torch=torch.__version__,
            )
            yield key, settings
            before = key.digest

    def _asked_of_data(self, settings: Stage) -> str:
        """Return the data's hash, and what is asked of them but classes and accuracy."""
        context = self.context
        task = "" if context.data.task == MULTICLASS else f"/{context.data.task.name}"
        has_score = settings.looks_at_score and context.score != ACCURACY
        return f"{self._data_fingerprint}{task}{f'/{context.score.identity}' if has_score else ''}"


def _decisive(settings: Stage | Recipe) -> dict[str, Any]:
    """Return the settings without those that say what was done before they were there."""
    always = settings.before.items()
    return {name: value for name, value in asdict(settings).items() if (name, value) not in always}


def _teaching(recipe: Recipe) -> dict[str, int]:
    return {"version": recipe.version} if recipe.distill_weight > 0 else {}


def _later(after_epoch: AfterEpoch | None, epochs: int) -> AfterEpoch | None:
    """Return `after_epoch` for a stage that begins after so many epochs."""
    if after_epoch is None:
        return None
    return lambda epoch, worth: after_epoch(epochs + epoch, worth)
