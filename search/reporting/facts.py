"""What the page's script is told: each trial in words and numbers, and what may be lost for it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from search.results.columns import other_estimate
from search.results.counting import words
from search.results.front import TOLERATED_DROP
from search.results.recommendation import (
    export_command,
    given_up,
    headline,
    how_sure,
    most_accurate,
)
from search.results.remake import remake_command
from search.results.row import Row
from search.results.scored import delta_unit, told
from search.results.table import StudyTable

DROPS = (0, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 50, 75, 100)
"""What the first slider offers to lose, as far as any trial loses so much."""


MOST_LOST = 1e9
"""What an infinite loss is told as: of a network whose own score was 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slider:
    """A limit that a reader can move."""

    name: str
    """Of the trials' number that it limits."""
    label: str
    unit: str
    steps: Sequence[float]
    """What it offers, rising."""
    start: int
    """The step that it stands on at first."""


def trial_facts(table: StudyTable, location: Sequence[str]) -> dict[int, dict[str, Any]]:
    """Return of each trial, by its number, what the page shows when it is chosen."""
    best = most_accurate(table)
    return {
        row.trial.number: {
            "done": row.done,
            "headline": headline(row),
            "beside": beside_the_baseline(row),
            "given_up": given_up(row, best),
            "sure": how_sure(table, row),
            "file": row.attribute("artifact"),
            "commands": commands(table, row, location),
            "costs": costs(row),
            "keeps": all(
                excess <= 0
                for name, excess in row.trial.constraints.items()
                if name not in SLIDERS
            ),
        }
        for row in table.rows
    }


def beside_the_baseline(row: Row) -> list[tuple[str, str, str, str]]:
    """Return lines of a table: what, of the network as it was, of this file, the change."""
    value, scored = row.attribute, row.scored
    lines = [
        (
            f"size ({words(row.counted)})",
            f"{row.baseline_size:,} B",
            f"{row.size:,} B",
            _times_smaller(value("reduction_factor")),
        )
    ]
    for part, name in (("test", "test"), ("val", "validation")):
        before = value(f"baseline_{part}_score")
        if before is None and scored.is_share:  # trials from before it was stored
            before = scored.value(part) - value(f"{part}_delta_pct")
        shown = "-" if before is None else told(before, is_share=scored.is_share)
        lines.append((f"{name} {scored.name}", shown, scored.told(part), scored.told_delta(part)))
    lines.append(_line("latency, one thread", row, "latency_ms", "ms", ".3f"))
    if value("ram_bytes") is not None:
        lines.append(_line("RAM, 1,024 B", row, "ram_bytes", "kB", ",.1f", divisor=1024))
    energy = value("energy_uj")
    if energy is not None:
        version = other_estimate(row, " of version ")
        lines.append((f"energy, an estimate{version}", "-", f"{energy:.3g} uJ", "-"))
    lines.append(
        ("Q (Eq. 5), U", "0, 0", f"{value('test_quality'):.4f}, {value('test_saving'):.4f}", "-")
    )
    return lines


def _times_smaller(times: float) -> str:
    return f"{times:.2f} times smaller" if times >= 1 else f"{1 / times:.2f} times larger"


def _line(
    name: str, row: Row, attribute: str, unit: str, form: str, *, divisor: float = 1
) -> tuple[str, str, str, str]:
    now, before = row.attribute(attribute), row.attribute(f"baseline_{attribute}")
    shown = f"{now / divisor:{form}} {unit}"
    if before is None:
        return name, "-", shown, "-"
    times = f"{before / now:.2f} times less" if now <= before else f"{now / before:.2f} times more"
    return name, f"{before / divisor:{form}} {unit}", shown, times


def commands(table: StudyTable, row: Row, location: Sequence[str]) -> Mapping[str, str]:
    """Return the commands that a reader may want of a trial, by what they do."""
    found = {"Take it away": export_command(location, row)}
    again = remake_command(table.config, row.plan, f"{table.name}-trial-{row.trial.number}")
    return found if again is None else found | {"Make it again": again}


SLIDERS = {
    "max_drop": ("drop", "I can lose at most", ""),
    "max_bytes": ("bytes", "It may have at most", "B"),
    "max_latency_ms": ("latency_ms", "One input may take at most", "ms"),
    "max_ram_kb": ("ram_kb", "It may need at most", "kB of RAM"),
}
"""By the setting that limits it, what each slider limits, what stands before it, and its unit."""


def costs(row: Row) -> dict[str, float]:
    """Return what the sliders limit, of a trial."""
    found = {
        "drop": max(-MOST_LOST, min(MOST_LOST, -float(row.attribute("val_delta_pct")))),
        "bytes": row.size,
        "latency_ms": float(row.attribute("latency_ms")),
    }
    ram = row.attribute("ram_bytes")
    return found if ram is None else found | {"ram_kb": ram / 1024}


def sliders(table: StudyTable) -> list[dict[str, Any]]:
    """Return the sliders that suit the study: what may be lost, and what else it minimizes."""
    config, rows = table.config, [costs(row) for row in table.rows]
    minimized = {"bytes": len(config.values) > 1, "latency_ms": "latency_ms" in config.values}
    minimized["ram_kb"] = "ram_bytes" in config.values
    scored = table.rows[0].scored
    found = []
    for setting, (name, label, unit) in SLIDERS.items():
        limit = getattr(config, setting)
        values = [each[name] for each in rows if name in each]
        if name == "drop":
            unit = f"{delta_unit(is_share=scored.is_share)} of validation {scored.name}"
            start = TOLERATED_DROP if limit is None else limit
            steps = {start, *DROPS[: 1 + sum(step < max(values) for step in DROPS)]}
        elif not values or (limit is None and not minimized[name]):
            continue
        else:
            start = max(values) if limit is None else limit
            steps = {start, *values}
        ordered = sorted(steps)
        found.append(
            asdict(
                Slider(
                    name=name,
                    label=label,
                    unit=unit,
                    steps=ordered,
                    start=ordered.index(start),
                )
            )
        )
    return found
