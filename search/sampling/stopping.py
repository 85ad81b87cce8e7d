"""Stop trials that cannot win, so that their epochs go to others.

Optuna calls it pruning; here that word belongs to weights. A stopped trial is neither failed nor
complete: it counts as one of the study's trials, and samplers learn from how far it came.
"""

from collections.abc import Callable
from typing import Literal, get_args

from optuna import Study, Trial, TrialPruned, pruners
from optuna.trial import TrialState

TrialStopped = TrialPruned
STOPPED = TrialState.PRUNED
StoppingRule = pruners.BasePruner
MedianStoppingRule = pruners.MedianPruner
HyperbandStoppingRule = pruners.HyperbandPruner
NoStoppingRule = pruners.NopPruner

StoppingRuleName = Literal["none", "median", "hyperband"]
STOPPING_RULES: tuple[StoppingRuleName, ...] = get_args(StoppingRuleName)

UNSTOPPED_TRIALS = 5
"""The median of fewer is left alone."""


def stopping_rule(name: StoppingRuleName, most_epochs: int) -> StoppingRule:
    """Return the rule `name` for trials of at most `most_epochs` epochs of fine-tuning.

    median: stop below the median of the others after the same epoch, best so far (Golovin et al.
    2017, Google Vizier, section 3.2). hyperband: several brackets of successive halving, a third
    goes on (Li et al. 2018, arXiv:1603.06560).
    """
    if name == "median":
        return MedianStoppingRule(n_startup_trials=UNSTOPPED_TRIALS)
    if name == "hyperband":
        return HyperbandStoppingRule(max_resource=most_epochs, reduction_factor=3)
    return NoStoppingRule()


def has_stopping_rule(study: Study) -> bool:
    """Return whether trials of `study` may be stopped: looking after each epoch costs time."""
    return not isinstance(study.pruner, NoStoppingRule)


def report_epochs(trial: Trial) -> Callable[[int, float], None]:
    """Return a function that is told an epoch and its worth on validation, and may stop.

    It raises `TrialStopped` when the study's rule says so.
    """

    def report(epoch: int, worth: float) -> None:
        trial.report(worth, epoch)
        if trial.should_prune():
            raise TrialStopped

    return report
