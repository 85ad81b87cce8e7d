"""Trials that failed with a reason, and how they get into the queue again."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from search.storage.queue import BASELINE, FAILURE, RETRIES, TrialQueue, point_of


def failed_for_good(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that failed with a reason and whose parameters no later trial has."""
    newest = {point_of(trial): trial.number for trial in trials}
    return [
        trial
        for trial in trials
        if trial.state == TrialState.FAIL
        and FAILURE in trial.user_attrs
        and newest[point_of(trial)] == trial.number
    ]


def retry_failed(queue: TrialQueue) -> int:
    """Queue the parameters of each trial that failed for good; return how many there are.

    A trial that failed before it had any parameters is left: the sampler has others.
    """
    with queue.lock:
        again = [
            trial
            for trial in failed_for_good(queue.study.get_trials(deepcopy=False))
            if trial.params or "fixed_params" in trial.system_attrs
        ]
        for trial in again:
            params = trial.system_attrs.get("fixed_params", trial.params)
            queue.study.enqueue_trial(params or trial.params, user_attrs={RETRIES: trial.number})
    return len(again)


def failed_baseline(trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """Return a trial that failed for good because the study's baseline did, None if none has."""
    return next(
        (trial for trial in failed_for_good(trials) if trial.user_attrs.get(BASELINE)), None
    )
