"""The study as a table: one row a combination, ours beside the paper's."""

import csv
import io
from collections.abc import Mapping

from optuna import Study
from optuna.trial import TrialState
from tabulate import tabulate

from models.registry import MODELS
from objectives.plan import Plan
from search.results.columns import (
    CONTAINER,
    ENERGY,
    OURS,
    PAPER,
    RAM,
    RERUN,
    SETTINGS,
    ZIPPED,
    Cell,
    named,
)
from search.results.paper import UNREPRODUCIBLE, paper_rows, rerun_rows
from search.results.row import GZIP, RAW, Row
from search.results.scored import ACCURACY
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
    "baseline_raw_bytes",
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
    "ram_bytes",
    "runtime",
    "energy_uj",
    "energy_version",
    "mean_bits",
    "epochs_trained",
    "peak_memory_mb",
    "artifact",
)


SCORE_ATTRIBUTES = ("val_score", "test_score", "score_name", "score_mode")
"""Where the score is not accuracy."""


class StudyTable:
    """Rows of a study's finished trials, in the order of sparsity and falling bits."""

    def __init__(self, study: Study) -> None:
        self.config = StudyConfig.from_json(study.user_attrs["config"])
        self.name = study.study_name
        self.metric = self.config.metric.rpartition(":")[2]
        """What files are scored by, in a word."""
        self.counted = self.config.coders[-1] if self.config.coders else GZIP
        """What bytes, x, Q and U count in each row: `GZIP`, `RAW`, or the coder of containers."""
        if self.config.runs_on.counts_raw:
            self.counted = RAW
        trials = study.get_trials(deepcopy=False)
        self.foreign = foreign_trials(trials)
        """Complete trials that search.run did not make: left out."""
        foreign = {trial.number for trial in self.foreign}
        known = self.config.model in MODELS.names()
        spec = MODELS.get(self.config.model) if known else None
        self.papers_data = spec.data if spec else None
        is_papers = self.config.data == self.papers_data and self.counted != RAW  # it counts gzip
        name = spec.paper_table if spec and is_papers else None
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
        self.trials = trials
        """All of them, as they are stored."""
        self.finished = [trial for trial in trials if trial.state.is_finished()]
        """Trials that ended in whatever way."""
        self.attributes = study.user_attrs
        """What the study itself holds, by name."""

    def text(self, form: str, *, with_rerun: bool = True) -> str:
        """Return the table in one of tabulate's formats: "pipe" (Markdown), "html".

        Args:
            form: The format.
            with_rerun: Whether the paper's protocol, run again elsewhere, is beside it.
        """
        columns = self.columns(with_rerun=with_rerun)
        text: str = tabulate(
            self.cells(columns),
            headers=[self.named(name) for name in columns],
            tablefmt=form,
            disable_numparse=True,
            colalign=["right"] * len(columns),
        )
        return text

    def columns(self, *, with_rerun: bool = True) -> dict[str, Cell]:
        """Return the columns of which a row of this study says something."""
        columns = dict(OURS)
        if self.counted != GZIP:
            columns |= ZIPPED
        elif any(row.attribute("container_bytes") for row in self.rows):
            columns |= CONTAINER
        if any(row.attribute("ram_bytes") for row in self.rows):
            columns |= RAM
        if any(row.attribute("energy_uj") for row in self.rows):
            columns |= ENERGY
        if self.config.space != "paper":
            columns |= SETTINGS
        if any(row.paper for row in self.rows):
            columns |= PAPER
        if with_rerun and any(row.rerun for row in self.rows):
            columns |= RERUN
        return columns

    def cells(self, columns: Mapping[str, Cell]) -> list[list[object]]:
        """Return what `columns` say of each row."""
        return [[cell(row) for cell in columns.values()] for row in self.rows]

    def named(self, column: str) -> str:
        """Return what a column is called, after the metric."""
        return named(column, self.metric, is_share=self.config.metric_is_share)

    def csv(self) -> str:
        """Return everything that was measured, unrounded, beside what was published."""
        attributes = list(CSV_ATTRIBUTES)
        if self.config.metric != ACCURACY:
            attributes += SCORE_ATTRIBUTES
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(
            [
                "sparsity",
                "precision",
                *attributes,
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
                    *(row.attribute(name) for name in attributes),
                    paper.size_bytes if paper else "",
                    paper.accuracy_pct if paper else "",
                    paper.quality if paper else "",
                    row.reproducible if paper else "",
                    rerun.size_bytes if rerun else "",
                    rerun.accuracy_pct if rerun else "",
                ]
            )
        return out.getvalue()
