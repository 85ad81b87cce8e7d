"""What a search took: trials by how they ended, epochs, seconds by stage."""

from collections.abc import Iterable

from optuna.trial import FrozenTrial
from tabulate import tabulate

from search.results.notes import EPOCHS_BEFORE
from search.results.table import StudyTable
from search.results.times import wall_seconds


def cost_table(table: StudyTable, form: str) -> str:
    """Return the cost as a table in one of tabulate's formats.

    A stage counts for each trial that went through it, from the cache or not.
    """
    groups = {
        "finished": [row.trial for row in table.rows],
        "failed": table.failed,
        "stopped early": table.stopped,
    }
    rows: list[list[object]] = [
        [name, len(trials), _epochs(trials), f"{_seconds(trials):,.1f}"]
        for name, trials in groups.items()
    ]
    before = table.attributes.get(EPOCHS_BEFORE)
    if before is not None:
        rows.append(["before the first trial", "-", before, "-"])
    seconds = [trial.user_attrs.get("stage_seconds", {}) for trial in table.finished]
    for stage in dict.fromkeys(name for each in seconds for name in each):
        spent = [each[stage] for each in seconds if stage in each]
        rows.append([f"stage {stage}", len(spent), "-", f"{sum(spent):,.1f}"])
    clock = f"{wall_seconds(table.finished):,.1f}"
    rows.append(["all, by the clock", len(table.finished), "-", clock])
    headers = ["", "trials", "epochs", "seconds of all workers"]
    text: str = tabulate(
        rows, headers, form, disable_numparse=True, colalign=["left", *["right"] * 3]
    )
    return text


def _seconds(trials: Iterable[FrozenTrial]) -> float:
    return sum(trial.duration.total_seconds() for trial in trials if trial.duration is not None)


def _epochs(trials: Iterable[FrozenTrial]) -> int:
    return sum(trial.user_attrs.get("epochs_trained", 0) for trial in trials)
