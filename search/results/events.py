"""What scripts are told of a study as JSON: each trial as it ends, and the result."""

from pathlib import Path
from typing import Any

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from search.results.dead import CONSTANT
from search.results.front import chosen_trial
from search.sampling.stopping import STOPPED
from search.storage.failed import failed_for_good
from search.storage.paths import StudyPaths
from search.storage.queue import FAILURE, WORKER
from search.storage.trials import made_trials

STATES = {TrialState.COMPLETE: "complete", TrialState.FAIL: "failed", STOPPED: "stopped early"}
MEASURED = [
    *("reduction_factor", "score_name", "val_score", "test_score"),
    *("val_delta_pct", "test_delta_pct", "quality", "saving", "latency_ms", CONSTANT),
]
"""User attributes that a trial is told with, by names that docs/architecture.md explains."""


def trial_event(trial: FrozenTrial) -> dict[str, Any]:
    """Return what a trial that has ended was; what it has not measured is None."""
    facts = trial.user_attrs
    host, is_known, _ = str(facts.get(WORKER, "")).rpartition(":")
    return {
        "event": "trial",
        "number": trial.number,
        "state": STATES.get(trial.state, trial.state.name.lower()),
        "params": trial.params,
        "bytes": facts.get("shipped_bytes"),
        **{name: facts.get(name) for name in MEASURED},
        "seconds": None if trial.duration is None else trial.duration.total_seconds(),
        "failure": facts.get(FAILURE),
        "host": host if is_known else None,
    }


def result_event(
    study: Study, paths: StudyPaths, *, why: str, report: Path | None
) -> dict[str, Any]:
    """Return which trial of the study is recommended and why, or why none is.

    Args:
        study: The study.
        paths: Where its files are.
        why: The recommendation, or the reason, in words.
        report: The page, None if none was written.
    """
    made, chosen = made_trials(study), chosen_trial(study)
    facts = {} if chosen is None else chosen.user_attrs
    return {
        "event": "result",
        "study": study.study_name,
        "trial": None if chosen is None else chosen.number,
        "params": None if chosen is None else chosen.params,
        "file": None if chosen is None else str(paths.root / facts["artifact"]),
        "bytes": facts.get("shipped_bytes"),
        **{name: facts.get(name) for name in MEASURED},
        "why": why,
        "report": None if report is None else str(report),
        "complete": len(made),
        "failed": len(failed_for_good(study.get_trials(deepcopy=False))),
    }
