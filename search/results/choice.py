"""Which trial of a study is meant: a number, the best of something, or the recommended one."""

from typing import Literal

from optuna import Study
from optuna.trial import TrialState

from models.errors import BadInputError
from search.results.front import chosen_trial, keeps_limits
from search.results.row import Row
from search.results.scored import delta_unit
from search.results.table import StudyTable
from search.sampling.stopping import STOPPED
from search.storage.queue import FAILURE

Criterion = Literal["quality", "saving"]


def choose(
    study: Study,
    table: StudyTable,
    *,
    trial: int | None = None,
    best: Criterion | None = None,
    max_drop: float | None = None,
) -> Row:
    """Return the row that is meant; with nothing given the one that the report recommends.

    What searches for the best does so on validation, among trials that keep the study's limits.

    Args:
        study: The study.
        table: Of the study.
        trial: Number of the trial.
        best: The attribute that is to be highest.
        max_drop: What of the score the smallest file may lose: points of a share, else percent.

    Raises:
        BadInputError: There is no such trial, or it was not finished.
    """
    if trial is not None:
        return _numbered(study, table, trial)
    kept = [row for row in table.rows if keeps_limits(row.trial)]
    if not kept:
        what = "keeps the limits that were set" if table.rows else "is finished"
        raise BadInputError(f"No trial of study '{table.name}' {what}.")
    if best is not None:
        return max(kept, key=lambda row: float(row.attribute(best)))
    if max_drop is not None:
        return _smallest(kept, max_drop, table.name)
    chosen = chosen_trial(study)
    assert chosen is not None
    return next(row for row in kept if row.trial.number == chosen.number)


def _numbered(study: Study, table: StudyTable, number: int) -> Row:
    trials = {trial.number: trial for trial in study.get_trials(deepcopy=False)}
    if number not in trials:
        raise BadInputError(
            f"Study '{table.name}' has no trial {number}; its trials are 0 to {len(trials) - 1}."
            if trials
            else f"Study '{table.name}' has no trial {number}; it has none."
        )
    trial = trials[number]
    if trial.state == TrialState.FAIL:
        reason = trial.user_attrs.get(FAILURE, "its process died.")
        raise BadInputError(f"Trial {number} of study '{table.name}' failed: {reason}")
    if trial.state != TrialState.COMPLETE:
        how = "was stopped early" if trial.state == STOPPED else "is not finished"
        raise BadInputError(f"Trial {number} of study '{table.name}' {how}: it has no file.")
    found = next((row for row in table.rows if row.trial.number == number), None)
    if found is None:
        raise BadInputError(
            f"Trial {number} of study '{table.name}' was not made by search.run: it has no file."
        )
    return found


def _smallest(rows: list[Row], max_drop: float, study: str) -> Row:
    def delta(row: Row) -> float:
        return float(row.attribute("val_delta_pct"))

    fitting = [row for row in rows if delta(row) >= -max_drop]
    if not fitting:
        least = max(rows, key=delta)
        raise BadInputError(
            f"No trial of study '{study}' loses at most {max_drop:g} "
            f"{delta_unit(is_share=least.scored.is_share)} of validation {least.scored.name}; "
            f"trial {least.trial.number} loses least, {-delta(least):.2f}."
        )
    return min(fitting, key=lambda row: (row.size, -delta(row)))
