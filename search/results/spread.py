"""How much values differ, in words."""

from collections.abc import Sequence
from statistics import mean, stdev


def spread(values: Sequence[float], form: str) -> str:
    """Return mean ± standard deviation in this form; one value has no spread."""
    shown = f"{mean(values):{form}}"
    if len(values) == 1:
        return shown
    return f"{shown} ± {stdev(values):{form.lstrip('+')}}"
