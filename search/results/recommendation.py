"""Which file of a study to take, and why, in a sentence."""

from optuna import Study

from search.results.counting import words
from search.results.front import chosen_trial
from search.results.scored import Scored
from search.results.table import StudyTable
from search.settings.vocabulary import LIMITS

_WHY = {
    "quality": "its Q (Eq. 5) is the highest on validation",
    "saving": "its retained saving U is the highest on validation",
    "pareto": "of the front it retains most saving (U) on validation",
}


def _scored(scored: Scored) -> str:
    value, name = scored.told("test"), scored.name
    return f"{value} {name}" if scored.is_share else f"{name} {value}"


UNITS = {"max_latency_ms": "ms", "max_ram_kb": "kB of RAM", "max_flash_kb": "kB of flash"}
UNITS |= {"max_bytes": "bytes", "max_drop": "points lost"}


def _nearest(table: StudyTable) -> str:
    """Return for each limit that is never kept how near a trial comes to it."""
    sentences = []
    for name in LIMITS:
        limit = getattr(table.config, name)
        excesses = {
            row.trial.number: row.trial.constraints[name]
            for row in table.rows
            if name in row.trial.constraints
        }
        if limit is None or not excesses or min(excesses.values()) <= 0:
            continue
        number = min(excesses, key=excesses.__getitem__)
        reached = limit + excesses[number]
        sentences.append(
            f" The least is {reached:,.4g} {UNITS[name]}, of trial {number}; {limit:g} were asked."
        )
    return "".join(sentences)


def recommendation(study: Study, table: StudyTable) -> str:
    """Return the sentence."""
    chosen = chosen_trial(study)
    if chosen is None:
        return f"No trial keeps the limits that were set: none is recommended.{_nearest(table)}"
    row = next(row for row in table.rows if row.trial.number == chosen.number)
    value = row.attribute
    limits = ", ".join(
        f"{name.replace('_', ' ')} {getattr(table.config, name):g}"
        for name in LIMITS
        if getattr(table.config, name) is not None
    )
    why = _WHY[table.config.objective]
    if table.config.objective == "pareto" and table.config.max_drop is not None:
        why = "its file is the smallest"
    among = f"of the trials that keep {limits}, " if limits else ""
    return (
        f"Take trial {chosen.number} ({row.label}): {among}{why}. "
        f"Its file, {value('artifact')}, has {row.size:,} bytes ({words(table.counted)}), "
        f"{value('reduction_factor'):.2f} times fewer than the uncompressed one, and "
        f"{_scored(row.scored)} on test ({row.scored.told_delta('test')})."
    )
