"""What a search took: trials by how they ended, epochs, seconds by stage."""

from collections.abc import Iterable

from optuna.trial import FrozenTrial
from tabulate import tabulate

from search.notes import EPOCHS_BEFORE
from search.table import StudyTable


def cost_table(table: StudyTable, form: str) -> str:
    """Return the cost as a table in one of tabulate's formats.

    A stage counts for each finished trial that went through it, from the cache or not.
    """
    epochs = sum(row.attribute("epochs_trained") for row in table.rows)
    finished = [row.trial for row in table.rows]
    rows: list[list[object]] = [
        ["finished", len(finished), epochs, f"{_seconds(finished):,.1f}"],
        ["failed", len(table.failed), "-", f"{_seconds(table.failed):,.1f}"],
        ["stopped early", len(table.stopped), "-", f"{_seconds(table.stopped):,.1f}"],
    ]
    before = table.attributes.get(EPOCHS_BEFORE)
    if before is not None:
        rows.append(["before the first trial", "-", before, "-"])
    seconds = [row.attribute("stage_seconds") for row in table.rows]
    for stage in dict.fromkeys(name for each in seconds for name in each):
        spent = [each[stage] for each in seconds if stage in each]
        rows.append([f"stage {stage}", len(spent), "-", f"{sum(spent):,.1f}"])
    headers = ["", "trials", "epochs", "seconds"]
    text: str = tabulate(
        rows, headers, form, disable_numparse=True, colalign=["left", *["right"] * 3]
    )
    return text


def _seconds(trials: Iterable[FrozenTrial]) -> float:
    return sum(trial.duration.total_seconds() for trial in trials if trial.duration is not None)
