"""What a trial returns, and what it leaves behind in its user attributes."""

from typing import Any

from optuna import Trial

from objectives.artifact.energy import ENERGY_VERSION
from objectives.errors import TrialError
from objectives.files import sha256_of
from objectives.pipeline import Pipeline
from objectives.plan import Plan
from objectives.result import Cost, Result
from objectives.score.accuracy import ACCURACY
from objectives.training.memory import told_when_memory_runs_out
from search.results.dead import BASELINE_CONSTANT, CONSTANT
from search.sampling.stopping import has_stopping_rule, report_epochs
from search.settings.config import StudyConfig
from search.settings.provenance import peak_memory, versions
from search.storage.file_finding import FOLDER
from search.storage.file_sharing import FileSharing
from search.storage.paths import StudyPaths
from search.storage.trial_queries import TrialQueries


class CompressionObjective:
    """Carries plans out for one study: `objective(trial, plan)` returns the trial's values."""

    def __init__(
        self,
        pipeline: Pipeline,
        paths: StudyPaths,
        config: StudyConfig,
        queries: TrialQueries,
        sharing: FileSharing,
    ) -> None:
        self._pipeline = pipeline
        self._paths = paths
        self._config = config
        self._queries = queries
        self._sharing = sharing

    def __call__(self, trial: Trial, plan: Plan) -> list[float]:
        """Compress, measure, record; values and constraints never see the test part.

        Raises:
            TrialError: The trial cannot be scored.
            TrialStopped: It cannot win, says the study's stopping rule.
            StopRequested: The study is to stop.
            AwayError: The study's store of files cannot be reached.
        """
        trial.set_user_attr("plan", plan.to_json())
        artifact = self._paths.artifact(trial.number)
        watch = report_epochs(trial) if has_stopping_rule(trial.study) else None
        cost = Cost()
        try:
            with told_when_memory_runs_out():
                result = self._pipeline.run(plan, artifact, watch, cost)
        finally:  # what a stopped or failed trial took counts too
            score = self._pipeline.context.score
            spent = {
                "stage_seconds": cost.stage_seconds,
                "epochs_trained": cost.epochs_trained,
                "score_name": score.name,
                "score_mode": score.mode,
                "score_is_share": score.is_share,
                "score_is_of_networks": score.is_of_networks,
            }
            self._queries.record(trial._trial_id, spent)
        written, artifact = artifact, artifact.with_suffix(self._pipeline.runtime.suffix)
        attributes = describe(result) | {"runtime": self._pipeline.runtime.name}
        attributes["artifact"] = artifact.relative_to(self._paths.root).as_posix()
        attributes["artifact_sha256"] = sha256_of(artifact)
        attributes[FOLDER] = str(artifact.parent.resolve())
        attributes["seed"] = self._pipeline.context.seed
        attributes["versions"] = versions()
        attributes |= peak_memory()
        self._queries.record(trial._trial_id, attributes)
        self._sharing.keep(trial, written, self._queries)
        needed = [*self._config.values, *["ram_bytes"] * self._config.asks_for_ram]
        unknown = [name for name in needed if attributes[name] is None]
        if unknown:
            raise TrialError(
                f"The file does not tell its {unknown[0]}, which is an objective or limited."
            )
        for name, excess in self._excesses(attributes).items():
            trial.set_constraint(name, excess)
        return [float(attributes[name]) for name in self._config.values]

    def _excesses(self, attributes: dict[str, Any]) -> dict[str, float]:
        """Return by how much the trial breaks each constraint; 0 or less keeps it."""
        config = self._config
        measured = {
            "max_drop": -attributes["val_delta_pct"],
            "max_bytes": attributes[config.size],
            "max_latency_ms": attributes["latency_ms"],
            "max_ram_kb": attributes["ram_bytes"] and attributes["ram_bytes"] / 1024,
            "max_flash_kb": attributes["artifact_raw_bytes"] / 1024,
        }
        limits = {name: getattr(config, name) for name in measured}
        return {
            name: float(measured[name] - limit)
            for name, limit in limits.items()
            if limit is not None
        }


def describe(result: Result) -> dict[str, Any]:
    """Return the user attributes that tell `result`; stored studies are read by these names.

    `quality` and `saving` are computed on validation, as a search must not see the test part;
    `test_quality` and `test_saving` on test, as the paper's tables are.
    """
    measured, baseline, score = result.measurement, result.baseline, result.score
    accuracy = {
        "val_accuracy_pct": measured.val_score,
        "test_accuracy_pct": measured.test_score,
    }
    return (accuracy if score == ACCURACY else {}) | {
        "val_score": measured.val_score,
        "test_score": measured.test_score,
        "val_delta_pct": result.val_delta_pct,
        "test_delta_pct": result.test_delta_pct,
        "artifact_bytes": measured.artifact_bytes,
        "artifact_raw_bytes": measured.artifact_raw_bytes,
        "container_bytes": measured.container_bytes,
        "container_coder": measured.container_coder,
        "shipped_bytes": measured.shipped_bytes,
        "baseline_bytes": baseline.measurement.artifact_bytes,
        "baseline_raw_bytes": baseline.measurement.artifact_raw_bytes,
        "baseline_checkpoint_bytes": baseline.checkpoint_bytes,
        "baseline_val_score": baseline.measurement.val_score,
        "baseline_test_score": baseline.measurement.test_score,
        "baseline_latency_ms": baseline.measurement.latency_ms,
        "baseline_ram_bytes": baseline.measurement.ram_bytes,
        "reduction_factor": result.reduction_factor,
        "quality": result.quality(result.val_delta_pct),
        "saving": result.saving(result.val_delta_pct),
        "test_quality": result.quality(result.test_delta_pct),
        "test_saving": result.saving(result.test_delta_pct),
        "sparsity": result.sparsity,
        "mean_bits": result.bits,
        "measured_sparsity": measured.measured_sparsity,
        "nonzero_weights": measured.nonzero_weights,
        "latency_ms": measured.latency_ms,
        "latency_iqr_ms": measured.latency_iqr_ms,
        "ram_bytes": measured.ram_bytes,
        "energy_uj": measured.energy_uj,
        "energy_version": ENERGY_VERSION,
        "stage_keys": result.stage_keys,
        CONSTANT: measured.constant_answers,
        BASELINE_CONSTANT: baseline.measurement.constant_answers,
    }
