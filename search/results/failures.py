"""Why trials failed, each reason once however many trials it has ended."""

import re
from collections.abc import Collection, Sequence

from optuna.trial import FrozenTrial

from search.storage.queue import FAILURE

AGAIN = "`--retry-failed` tries what failed again."
"""What to do."""
MOST_NUMBERS = 12
"""Trials of one reason that are named."""


def reason_of(trial: FrozenTrial) -> str:
    """Return why a trial failed."""
    return str(trial.user_attrs.get(FAILURE, "its process died."))


def kind_of(reason: str) -> str:
    """Return what reasons that differ in the name of the trial's file alone share."""
    return re.sub(r"trial-\d+", "trial", reason)


def failure_sentences(
    failed: Sequence[FrozenTrial], told: Collection[str] = frozenset()
) -> list[str]:
    """Return a sentence for each reason, and how to try again; none where nothing failed.

    Args:
        failed: The trials that failed and were not tried again.
        told: Kinds of reasons that the reader knows already.
    """
    groups: dict[str, list[FrozenTrial]] = {}
    for trial in failed:
        groups.setdefault(kind_of(reason_of(trial)), []).append(trial)
    sentences = []
    for kind, trials in groups.items():
        first, *others = trials
        if kind in told:
            sentences.append(f"Failed, as was said above: {_numbered(trials)}.")
            continue
        more = f" {len(others)} more failed for the same reason: {_numbered(others)}."
        told_first = f"Trial {first.number} {first.params} failed: {reason_of(first)}"
        sentences.append(f"{told_first}{more if others else ''}")
    return [*sentences, AGAIN] if sentences else []


def _numbered(trials: Sequence[FrozenTrial]) -> str:
    numbers = [str(trial.number) for trial in trials]
    more = f" and {len(numbers) - MOST_NUMBERS} more" if len(numbers) > MOST_NUMBERS else ""
    return f"trial{'s' if len(numbers) > 1 else ''} {', '.join(numbers[:MOST_NUMBERS])}{more}"
