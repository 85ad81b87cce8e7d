"""Which finished trials of a study are ours: anybody can put others into it.

`study.optimize`, `add_trial`, a copy from elsewhere or a lost table leave complete trials that
have no plan and no file. They are left out wherever results are shown or chosen, and named.
"""

from collections.abc import Sequence

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from models.errors import BadInputError
from objectives.plan import Plan
from search.storage.queue import is_foreign

NEEDED = (
    "plan",
    "artifact",
    "artifact_bytes",
    "baseline_bytes",
    "reduction_factor",
    "val_delta_pct",
    "test_delta_pct",
    "quality",
    "saving",
    "latency_ms",
    "stage_seconds",
)
"""User attributes that each trial of ours has, of each version."""

SCORES = ({"val_score", "test_score"}, {"val_accuracy_pct", "test_accuracy_pct"})
"""Of which it has the one or the other."""


def made_trials(study: Study) -> list[FrozenTrial]:
    """Return the complete trials that `search.run` has carried out."""
    return [trial for trial in _complete(study) if _is_made(trial)]


def foreign_trials(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return those of `trials` that are complete and none of ours."""
    return [
        trial for trial in trials if trial.state == TrialState.COMPLETE and not _is_made(trial)
    ]


def _complete(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _is_made(trial: FrozenTrial) -> bool:
    known = trial.user_attrs.keys()
    if is_foreign(trial) or not known >= set(NEEDED) or not any(known >= s for s in SCORES):
        return False
    try:
        Plan.from_json(trial.user_attrs["plan"])
    except BadInputError:
        return False
    return True
