"""Trials whose network answers no more: a layer lost all its weights, or all answers are one."""

from collections.abc import Mapping
from typing import Any

from search.results.table import StudyTable

CONSTANT = "constant_answers"
"""User attribute of a trial: whether its file answers each input of validation the same."""
BASELINE_CONSTANT = "baseline_constant_answers"
"""The same of the baseline's file."""


def dead_layers(facts: Mapping[str, Any]) -> str:
    """Return which layers of a trial have lost all their weights, to stand behind a sentence."""
    counts: Mapping[str, tuple[int, int]] = facts.get("nonzero_weights") or {}
    dead = [name.removesuffix(".weight") for name, (left, _) in counts.items() if left == 0]
    return f"; no weight is left in {', '.join(dead)}" if dead else ""


def constant(facts: Mapping[str, Any]) -> str:
    """Return that a trial answers every input the same, to stand behind a sentence, or ""."""
    return "; it answers every input the same" if facts.get(CONSTANT) else ""


def about_dead(table: StudyTable) -> list[str]:
    """Return a sentence on each trial whose network answers by biases alone, or always the same.

    Where the baseline does so itself, one sentence on that.
    """
    if any(row.attribute(BASELINE_CONSTANT) for row in table.rows):
        sentence = (
            "The uncompressed network itself answers every input of the validation part the same: "
            "it has learnt nothing, and no size of it is of use. See its training and its data."
        )
        return [sentence]
    sentences = []
    for row in table.rows:
        facts = row.trial.user_attrs
        layers = dead_layers(facts)
        name = f"Trial {row.trial.number} ({row.label}){layers}"
        if facts.get(CONSTANT):
            separated = ":" if layers else ""
            what = "it answers" if layers else " answers"
            sentences.append(
                f"{name}{separated} {what.strip()} every input of the validation part the same."
            )
        elif layers:
            sentences.append(f"{name}: the network beyond it answers by biases alone.")
    return sentences
