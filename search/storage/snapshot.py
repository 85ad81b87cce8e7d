"""A study as it was at one moment: other machines go on with it while it is read."""

import copy
from collections.abc import Container

from optuna import Study
from optuna.trial import FrozenTrial, TrialState


class StudySnapshot(Study):
    """A study whose trials are those that `study` has now; all else is as it is in its database.

    What is computed from several readings, a table and the trial to take from it, then fits.
    """

    def __init__(self, study: Study) -> None:
        super().__init__(study.study_name, study._storage)
        self._at_once = study.get_trials(deepcopy=False)

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        found = [trial for trial in self._at_once if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found
