"""The study as a table: one row a combination, ours beside the paper's."""

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from optuna import Study
from optuna.trial import FrozenTrial, TrialState
from tabulate import tabulate

from models.registry import MODELS
from objectives.artifact.energy import ENERGY_VERSION
from objectives.plan import Plan
from search.results.paper import UNREPRODUCIBLE, PublishedRow, paper_rows, rerun_rows
from search.sampling.stopping import STOPPED
from search.settings.config import StudyConfig
from search.storage.queue import FAILURE
from search.storage.trials import foreign_trials

CSV_ATTRIBUTES = (
    "artifact_bytes",
    "artifact_raw_bytes",
    "container_bytes",
    "container_coder",
    "shipped_bytes",
    "baseline_bytes",
    "baseline_checkpoint_bytes",
    "reduction_factor",
    "val_accuracy_pct",
    "test_accuracy_pct",
    "val_delta_pct",
    "test_delta_pct",
    "quality",
    "saving",
    "test_quality",
    "test_saving",
    "measured_sparsity",
    "latency_ms",
    "latency_iqr_ms",
    "energy_uj",
    "energy_version",
    "mean_bits",
    "epochs_trained",
    "peak_memory_mb",
    "artifact",
)


GZIP = "gzip"
"""What is counted where no container is."""


@dataclass(frozen=True, slots=True)
class Row:
    """A finished trial and what was published for the same combination."""

    trial: FrozenTrial
    paper: PublishedRow | None
    rerun: PublishedRow | None
    reproducible: bool
    """False where the paper's own stack does not give the paper's row."""

    plan: Plan
    """What was carried out."""

    counted: str
    """What x, Q and U count: `GZIP`, or the coder of the container."""

    @property
    def sparsity(self) -> float:
        """Share of the baseline's weights that are zero or gone: Eq. 5's s."""
        counted = self.attribute("sparsity")
        if counted is None:
            counted = self.plan.of_the_paper("masking").sparsity
        return float(counted)

    @property
    def bits(self) -> float:
        """Bits of a mean weight that remains: Eq. 5's p."""
        counted = self.attribute("mean_bits")
        if counted is None:
            counted = self.plan.of_the_paper("representation").bits
        return float(counted)

    @property
    def label(self) -> str:
        """The combination in a few characters."""
        return f"{100 * self.sparsity:.4g} %, {self.bits:.3g} bits"

    @property
    def size(self) -> int:
        """The bytes that are counted."""
        counted = self.bytes_by(self.counted)
        assert counted is not None
        return counted

    def bytes_by(self, counted: str) -> int | None:
        """Return the bytes by `GZIP`, or of a container by a coder; None if that is not known."""
        if counted == GZIP:
            return int(self.attribute("artifact_bytes"))
        coder = self.attribute("container_coder")
        if coder is None and self.counted != GZIP:  # trials from before it was stored
            coder = self.counted
        return int(self.attribute("container_bytes")) if coder == counted else None

    def published(self, source: str) -> PublishedRow | None:
        """Return the row of "paper" or "re-run", if there is one."""
        return self.paper if source == "paper" else self.rerun

    def attribute(self, name: str) -> Any:  # noqa: ANN401 - what Optuna stored
        """Return the trial's user attribute `name`, None if it has none."""
        return self.trial.user_attrs.get(name)


Cell = Callable[[Row], object]


def _format(value: object, form: str) -> str:
    return "-" if value is None else format(value, form)


def _attribute(name: str, form: str) -> Cell:
    return lambda row: _format(row.attribute(name), form)


def _weights(plan: Plan) -> str:
    """Return in words which weights there are, and which numbers one may be if not a float."""
    return "; ".join(stage.described for stage in plan.stages() if stage.described) or "-"


def _checkpoint_reduction(row: Row) -> str:
    checkpoint = row.attribute("baseline_checkpoint_bytes")
    factor = None if checkpoint is None else checkpoint / row.size
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


OURS: dict[str, Cell] = {
    "sparsity": lambda row: f"{100 * row.sparsity:.4g} %",
    "bits": lambda row: f"{row.bits:.3g}",
    "bytes": lambda row: f"{row.size:,}",
    "x": _attribute("reduction_factor", ".2f"),
    "x ckpt": _checkpoint_reduction,
    "accuracy %": _attribute("test_accuracy_pct", ".2f"),
    "delta pp": _attribute("test_delta_pct", "+.2f"),
    "Q": _attribute("test_quality", ".4f"),
    "U": _attribute("test_saving", ".4f"),
    "latency ms": _attribute("latency_ms", ".3f"),
}
CONTAINER: dict[str, Cell] = {"container": _attribute("container_bytes", ",d")}
ZIPPED: dict[str, Cell] = {"gzip": _attribute("artifact_bytes", ",d")}
ENERGY: dict[str, Cell] = {"est. energy uJ": _energy}
SETTINGS: dict[str, Cell] = {
    "trial": lambda row: row.trial.number,
    "allocation": lambda row: row.plan.of_the_paper("masking").allocation,
    "epochs": lambda row: row.plan.of_the_paper("masking").epochs,
    "lr": lambda row: f"{row.plan.of_the_paper('masking').lr:.2g}",
    "weights": lambda row: _weights(row.plan),
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


ALWAYS_SHOWN = ("sparsity", "bits", "bytes", "x", "accuracy %", "delta pp", "trial")
"""Columns that a narrow terminal has, too."""


class StudyTable:
    """Rows of a study's finished trials, in the order of sparsity and falling bits."""

    def __init__(self, study: Study) -> None:
        self.config = StudyConfig.from_json(study.user_attrs["config"])
        self.name = study.study_name
        self.counted = self.config.coders[-1] if self.config.coders else GZIP
        """What bytes, x, Q and U count in each row: `GZIP`, or the coder of containers."""
        trials = study.get_trials(deepcopy=False)
        self.foreign = foreign_trials(trials)
        """Complete trials that search.run did not make: left out."""
        foreign = {trial.number for trial in self.foreign}
        known = self.config.model in MODELS.names()
        spec = MODELS.get(self.config.model) if known else None
        name = spec.paper_table if spec else None
        self.papers_data = spec.data if spec else None
        paper = paper_rows(name) if name else {}
        rerun = rerun_rows(name) if name else {}
        doubtful = UNREPRODUCIBLE.get(name or "", frozenset())
        self.published = {"paper": paper, "re-run": rerun}
        """What was made elsewhere, by sparsity and bits."""
        self.rows: list[Row] = []
        for trial in trials:
            if trial.state == TrialState.COMPLETE and trial.number not in foreign:
                plan = Plan.from_json(trial.user_attrs["plan"])
                point = (
                    plan.of_the_paper("masking").sparsity,
                    plan.of_the_paper("representation").bits,
                )
                theirs, again = paper.get(point), rerun.get(point)
                if not plan.is_of_the_paper():
                    theirs = again = None
                self.rows.append(
                    Row(trial, theirs, again, point not in doubtful, plan, self.counted)
                )
        self.rows.sort(key=lambda row: (row.sparsity, -row.bits))
        self.failed = [
            trial
            for trial in trials
            if trial.state == TrialState.FAIL and FAILURE in trial.user_attrs
        ]
        """Trials that could not be scored."""
        self.stopped = [trial for trial in trials if trial.state == STOPPED]
        """Trials that a stopping rule ended."""
        self.finished = [trial for trial in trials if trial.state.is_finished()]
        """Trials that ended in whatever way."""
        self.attributes = study.user_attrs
        """What the study itself holds, by name."""

    def text(self, form: str, *, with_rerun: bool = True, columns: int | None = None) -> str:
        """Return the table in one of tabulate's formats: "simple", "pipe" (Markdown), "html".

        Args:
            form: The format.
            with_rerun: Whether the paper's protocol, run again elsewhere, is beside it.
            columns: Of a terminal: what does not fit is left out, and that is said.
        """
        shown = self._columns(with_rerun=with_rerun)
        text = self._drawn(shown, form)
        optional = [name for name in shown if name not in ALWAYS_SHOWN]
        while columns is not None and optional and len(text.splitlines()[0]) > columns:
            del shown[optional.pop()]
            text = f"{self._drawn(shown, form)}\nThe report has more columns."
        return text

    def _columns(self, *, with_rerun: bool) -> dict[str, Cell]:
        columns = dict(OURS)
        if self.counted != GZIP:
            columns |= ZIPPED
        elif any(row.attribute("container_bytes") for row in self.rows):
            columns |= CONTAINER
        if any(row.attribute("energy_uj") for row in self.rows):
            columns |= ENERGY
        if self.config.space != "paper":
            columns |= SETTINGS
        if any(row.paper for row in self.rows):
            columns |= PAPER
        if with_rerun and any(row.rerun for row in self.rows):
            columns |= RERUN
        return columns

    def _drawn(self, columns: Mapping[str, Cell], form: str) -> str:
        cells = [[cell(row) for cell in columns.values()] for row in self.rows]
        return tabulate(
            cells,
            headers=list(columns),
            tablefmt=form,
            disable_numparse=True,
            colalign=["right"] * len(columns),
        )

    def csv(self) -> str:
        """Return everything that was measured, unrounded, beside what was published."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(
            [
                "sparsity",
                "precision",
                *CSV_ATTRIBUTES,
                "paper_bytes",
                "paper_accuracy_pct",
                "paper_quality",
                "paper_reproducible",
                "rerun_bytes",
                "rerun_accuracy_pct",
            ]
        )
        for row in self.rows:
            paper, rerun = row.paper, row.rerun
            writer.writerow(
                [
                    row.sparsity,
                    f"{row.bits:.4g}",
                    *(row.attribute(name) for name in CSV_ATTRIBUTES),
                    paper.size_bytes if paper else "",
                    paper.accuracy_pct if paper else "",
                    paper.quality if paper else "",
                    row.reproducible if paper else "",
                    rerun.size_bytes if rerun else "",
                    rerun.accuracy_pct if rerun else "",
                ]
            )
        return out.getvalue()
