"""What differs between a study's config and that of a call that would resume it, in words."""

from collections.abc import Mapping
from typing import Any

CHANGED = {
    "model": "its code, its shape, its attributes or the weights that it begins with",
    "data": "what they yield, or in which order",
    "metric": "its code",
}
"""What a hash tells of, by the setting that names it."""

FOLLOWS = {
    "model_fingerprint": {"model", "layers", "input_size"},
    "data_fingerprint": {
        "data",
        "input_size",
        "train_fraction",
        "held_out",
        "test_fraction",
        "task",
    },
    "metric_fingerprint": {"metric"},
    "metric_is_share": {"metric"},
}
"""What needs no word where one of these settings differs: it follows from it."""


def difference(stored: Mapping[str, Any], now: Mapping[str, Any], study: str) -> str | None:
    """Return what differs in one line, and what to do; None if nothing does.

    Args:
        stored: Fields of the config that the study has.
        now: The same fields of the call's.
        study: Its name.
    """
    names = {name for name in now if now[name] != stored[name]}
    names -= {name for name in names if FOLLOWS.get(name, set()) & names}
    changed = [what for what in CHANGED if f"{what}_fingerprint" in names]
    settings = [
        _setting(name, stored[name], now[name])
        for name in now
        if name in names and name.removesuffix("_fingerprint") not in changed
    ]
    told, ways = [], []
    if changed:
        things = " and ".join(change(what, now[what]) for what in changed)
        told.append(f"Since study '{study}' was made, {things}.")
        ways.append("Undo that")
    if settings:
        told.append(f"Study '{study}' was made with other settings: {', '.join(settings)}.")
        ways.append("resume it with those" if changed else "Resume it with those")
    if not told:
        return None
    return f"{' '.join(told)} {' and '.join(ways)}, or give `--study` another name."


def change(what: str, name: str) -> str:
    """Return that something has changed, and what of it may have.

    Args:
        what: One of `CHANGED`.
        name: What the study calls it.
    """
    verb = "have" if what == "data" else "has"
    return f"the {what} '{name}' {verb} changed ({CHANGED[what]})"


def _setting(name: str, stored: object, now: object) -> str:
    if name == "weights":  # hashes
        if stored is None or now is None:
            return f"{'without' if stored is None else 'with'} trained weights"
        return "other trained weights"
    return f"{name} {stored!r} (now {now!r})"
