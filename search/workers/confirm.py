"""Confirm the chosen plan: train it anew with other seeds, and say how much the result varies."""

from optuna import Study

from objectives.errors import TrialError
from objectives.pipeline import Pipeline
from objectives.plan import Plan
from objectives.result import Result
from search.results.front import chosen_trial
from search.results.notes import CONFIRMATION
from search.storage.paths import StudyPaths


def confirm(study: Study, pipeline: Pipeline, paths: StudyPaths, *, seeds: int) -> None:
    """Carry out the chosen trial's plan, baseline and all, with `seeds` seeds after the study's.

    What was measured becomes the study's attribute `confirmation`; the files stay in the folder
    `confirm` of the study. Does nothing where no trial was scored.

    Raises:
        StopRequested: Somebody wants an end; what is trained stays in the cache.
    """
    chosen = chosen_trial(study)
    if chosen is None:
        return
    plan = Plan.from_json(chosen.user_attrs["plan"])
    own = pipeline.context.seed
    numbers = list(range(own + 1, own + 1 + seeds))
    results: dict[int, Result] = {}
    failed: dict[int, str] = {}
    for seed in numbers:
        try:
            results[seed] = _result(plan, pipeline, seed, paths)
        except TrialError as err:
            failed[seed] = str(err)
    measured = results.values()
    study.set_user_attr(
        CONFIRMATION,
        {
            "trial": chosen.number,
            "seeds": list(results),
            "test_score": [result.measurement.test_score for result in measured],
            "test_delta_pct": [result.test_delta_pct for result in measured],
            "bytes": [result.measurement.shipped_bytes for result in measured],
            "failed": failed,
        },
    )


def _result(plan: Plan, pipeline: Pipeline, seed: int, paths: StudyPaths) -> Result:
    pipeline.context.progress.start_trial(f"confirm with seed {seed}:")
    folder = paths.folder / "confirm"
    other = pipeline.with_seed(seed, folder / f"baseline-seed-{seed}.onnx")
    return other.run(plan, folder / f"seed-{seed}.onnx")
