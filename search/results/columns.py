"""The columns of a study's table: what each says of a row, in how many decimals."""

from collections.abc import Callable

from objectives.artifact.energy import ENERGY_VERSION
from objectives.plan import Plan
from search.results.row import RAW, Row
from search.results.scored import heading

Cell = Callable[[Row], object]


def _format(value: object, form: str) -> str:
    return "-" if value is None else format(value, form)


def _attribute(name: str, form: str) -> Cell:
    return lambda row: _format(row.attribute(name), form)


def _kib(row: Row, name: str) -> float | None:
    value = row.attribute(name)
    return None if value is None else value / 1024


def _weights(plan: Plan) -> str:
    """Return in words which weights there are, and which numbers one may be if not a float."""
    return "; ".join(stage.described for stage in plan.stages() if stage.described) or "-"


def _checkpoint_reduction(row: Row) -> str:
    checkpoint = row.attribute("baseline_checkpoint_bytes")
    unlike = checkpoint is None or row.counted == RAW  # it is known after gzip only
    factor = None if unlike else checkpoint / row.size
    return _format(factor, ".2f")


def _published(source: str, field: str, form: str) -> Cell:
    def cell(row: Row) -> str:
        published = row.published(source)
        value = None if published is None else getattr(published, field)
        if value is None:
            return "-"
        mark = "" if source != "paper" or row.reproducible else "†"
        return format(value, form) + mark

    return cell


def _rerun_accuracy(row: Row) -> str:
    if row.rerun is None:
        return "-"
    low, high = row.rerun.accuracy_min_pct, row.rerun.accuracy_max_pct
    return f"{row.rerun.accuracy_pct:.2f} ({low:.2f}-{high:.2f})"


def other_estimate(row: Row, words: str) -> str:
    """Return `words` and the version of the row's estimate of energy; "" if it is today's."""
    version = row.attribute("energy_version") or 1  # the first one had none
    return "" if version == ENERGY_VERSION else f"{words}{version}"


def _energy(row: Row) -> str:
    energy = row.attribute("energy_uj")
    return "-" if energy is None else f"{energy:.3g}{other_estimate(row, ', v')}"


SCORE, DELTA, TIMES = "accuracy %", "change pp", "x smaller"
"""Columns that are called otherwise where the score is another; see `named`."""
WEIGHTS = "weights"
"""What methods beyond the paper's two have done."""

OURS: dict[str, Cell] = {
    "trial": lambda row: row.trial.number,
    "sparsity": lambda row: f"{100 * row.sparsity:.4g} %",
    "bits": lambda row: f"{row.bits:.3g}",
    "bytes": lambda row: f"{row.size:,}",
    TIMES: _attribute("reduction_factor", ".2f"),
    "x ckpt": _checkpoint_reduction,
    SCORE: lambda row: row.scored.told("test").removesuffix(" %"),
    DELTA: _attribute("test_delta_pct", "+.2f"),
    "Q": _attribute("test_quality", ".4f"),
    "U": _attribute("test_saving", ".4f"),
    "latency ms": _attribute("latency_ms", ".3f"),
}
CONTAINER: dict[str, Cell] = {"container": _attribute("container_bytes", ",d")}
ZIPPED: dict[str, Cell] = {"gzip": _attribute("artifact_bytes", ",d")}
RAM: dict[str, Cell] = {"RAM kB": lambda row: _format(_kib(row, "ram_bytes"), ",.1f")}
ENERGY: dict[str, Cell] = {"est. energy uJ": _energy}
SETTINGS: dict[str, Cell] = {
    "allocation": lambda row: row.plan.of_the_paper("masking").allocation,
    "epochs": lambda row: row.plan.of_the_paper("masking").epochs,
    "lr": lambda row: f"{row.plan.of_the_paper('masking').lr:.2g}",
    WEIGHTS: lambda row: _weights(row.plan),
}
PAPER: dict[str, Cell] = {
    "paper: bytes": _published("paper", "size_bytes", ",d"),
    "accuracy % ": _published("paper", "accuracy_pct", ".2f"),
    "Q ": _published("paper", "quality", ".4f"),
}
RERUN: dict[str, Cell] = {
    "re-run: bytes": _published("re-run", "size_bytes", ",d"),
    "accuracy % (seeds)": _rerun_accuracy,
}


def named(column: str, metric: str, *, is_share: bool) -> str:
    """Return what a column is called where files are scored by `metric`."""
    if column == SCORE:
        return heading(metric, is_share=is_share)
    return "change %" if column == DELTA and not is_share else column
