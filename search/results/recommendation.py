"""Which file of a study to take, what it gains, what is given up for it, and how sure that is."""

import shlex
from collections.abc import Sequence

from optuna import Study

from search.results.front import TOLERATED_DROP, chosen_trial, keeps_limits, loses_little
from search.results.notes import CONFIRMATION
from search.results.row import GZIP, RAW, Row
from search.results.scored import delta_unit
from search.results.spread import spread
from search.results.table import StudyTable
from search.settings.vocabulary import LIMITS

UNITS = {"max_latency_ms": "ms", "max_ram_kb": "kB of RAM", "max_flash_kb": "kB of flash"}
UNITS |= {"max_bytes": "bytes", "max_drop": "points lost"}


def recommendation(study: Study, table: StudyTable, location: Sequence[str]) -> str:
    """Return the answer, why, what is given up, how sure it is, and how to get the file."""
    chosen = chosen_trial(study)
    if chosen is None:
        return no_recommendation(table)
    row = next(row for row in table.rows if row.trial.number == chosen.number)
    command = export_command(location, row)
    return (
        f"Take trial {row.trial.number} ({row.done}): {headline(row)} It is {why(table, row)}. "
        f"{given_up(row, most_accurate(table))} {how_sure(table, row)} "
        f"Its file is {row.attribute('artifact')}; `{command}` takes it away."
    )


def headline(row: Row) -> str:
    """Return what a trial's file is beside the network as it was, in a sentence."""
    times = float(row.attribute("reduction_factor"))
    told = f"{times:.1f} times smaller than your network ({_sizes(row)})"
    if row.size == row.baseline_size:
        told = f"your network as it is ({_sizes(row)})"
    elif times < 1:
        told = f"{1 / times:.2f} times larger than your network ({_sizes(row)})"
    parts = [told, change(row), f"{row.attribute('latency_ms'):.3f} ms"]
    ram = row.attribute("ram_bytes")
    if ram is not None:
        parts.append(f"{ram / 1024:,.1f} kB of RAM")
    return f"{', '.join(parts)}."


def _sizes(row: Row) -> str:
    how = {GZIP: " after gzip", RAW: " in flash"}.get(row.counted, " coded")
    if row.size == row.baseline_size:
        return f"{row.size:,} bytes{how}"
    if row.counted in {GZIP, RAW}:
        return f"{row.size:,} instead of {row.baseline_size:,} bytes{how}"
    return f"{row.size:,} bytes{how} instead of {row.baseline_size:,} after gzip"


def change(row: Row) -> str:
    """Return how the score on test differs from that of the network as it was, in words."""
    delta, scored = float(row.attribute("test_delta_pct")), row.scored
    is_accuracy = scored.name == "accuracy"
    now = f"{scored.told('test')} on test"
    if f"{abs(delta):.2f}" == "0.00":
        return f"as accurate ({now})" if is_accuracy else f"{scored.name} as before ({now})"
    better, worse = ("more", "less") if is_accuracy else ("better", "worse")
    how = f"{better if delta > 0 else worse} {'accurate' if is_accuracy else f'in {scored.name}'}"
    return f"{abs(delta):.2f} {delta_unit(is_share=scored.is_share)} {how} ({now})"


def why(table: StudyTable, row: Row) -> str:
    """Return what a trial is among those of its study that could be recommended."""
    unit = delta_unit(is_share=row.scored.is_share)
    others = [name for name in LIMITS if getattr(table.config, name) is not None]
    asked = ", ".join(
        f"{name.replace('_', ' ')} {getattr(table.config, name):g}" for name in others
    )
    limits = [f"keep {asked}"] if asked else []
    fit = [each for each in table.rows if keeps_limits(each.trial)]
    if table.config.max_drop is None:
        near = [each for each in fit if loses_little(each.trial)]
        if not near:
            return (
                f"the one that retains most saving (U): none that keeps its limits loses at most "
                f"{TOLERATED_DROP:g} {unit} of validation {row.scored.name}"
            )
        fit = near
        limits.insert(0, f"lose at most {TOLERATED_DROP:g} {unit} of validation {row.scored.name}")
    told = " and ".join(limits)
    return (
        f"the only trial to {told}" if len(fit) == 1 else f"the smallest of {len(fit)} that {told}"
    )


def most_accurate(table: StudyTable) -> Row | None:
    """Return the row with the best validation score of those that keep the limits, if any does."""
    kept = [each for each in table.rows if keeps_limits(each.trial)]
    return max(kept, key=lambda each: (each.scored.worth("val"), -each.size), default=None)


def given_up(row: Row, best: Row | None) -> str:
    """Return what the most accurate file of a study has that this one has not."""
    if best is None or best.scored.worth("val") <= row.scored.worth("val"):
        return f"No trial has a better validation {row.scored.name}."
    scored = best.scored
    return (
        f"Given up: trial {best.trial.number} ({best.label}) has {scored.told('val')} instead of "
        f"{row.scored.told('val')} {scored.name} on validation ({scored.told('test')} instead of "
        f"{row.scored.told('test')} on test), in {best.size:,} bytes."
    )


def how_sure(table: StudyTable, row: Row) -> str:
    """Return with how many seeds the trial's plan was trained, and what they told."""
    made = table.attributes.get(CONFIRMATION)
    if made is None or made["trial"] != row.trial.number or not made["seeds"]:
        return (
            "One seed: how much another would differ is not known; the study's command with "
            "`--confirm 3` trains it anew with three others."
        )
    form, unit = (".2f", " %") if row.scored.is_share else (".4g", "")
    scores = spread(made.get("test_score") or made["test_accuracy_pct"], form)
    others = "another seed" if len(made["seeds"]) == 1 else f"{len(made['seeds'])} other seeds"
    return (
        f"Trained anew with {others}: {scores}{unit} {row.scored.name} on test, "
        f"{spread(made['bytes'], ',.0f')} bytes."
    )


def export_command(location: Sequence[str], row: Row) -> str:
    """Return the command that takes the trial's file away.

    Args:
        location: The options that say where the study is: `search.storage.study.location`.
        row: The trial.
    """
    number = str(row.trial.number)
    return shlex.join(
        ["python", "-m", "search.export", *location, "--trial", number, "--out", f"trial-{number}"]
    )


def no_recommendation(table: StudyTable) -> str:
    """Return that no trial keeps the limits, and how near one comes to each that none keeps."""
    sentences = ["No trial keeps the limits that were set: none is recommended."]
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
            f"The least is {reached:,.4g} {UNITS[name]}, of trial {number}; {limit:g} were asked."
        )
    return " ".join(sentences)
