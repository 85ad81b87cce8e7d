"""Write a study's report as Markdown, CSV and one HTML page, and show its table."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
import sqlalchemy
from optuna import Study
from optuna_dashboard import save_plotly_graph_object

from models.errors import BadInputError
from objectives.errors import AwayError, MeasurementError
from objectives.files import write_atomically
from search.reporting.drawing import Drawing
from search.reporting.layers import TrialLayers, layer_drawing, layer_table, recommended_layers
from search.reporting.note import keep_note
from search.reporting.page import FRONT, Parts, front_commands, page
from search.reporting.plots import figures
from search.reporting.search_plots import search_figures
from search.results.cost import cost_table
from search.results.failures import failure_sentences
from search.results.fitted_table import fitted
from search.results.front import chosen_trial, dominance_table
from search.results.notes import foreign_sentences, missing_files, notes, settings
from search.results.ranking import ranking, shares
from search.results.recommendation import recommendation
from search.results.table import StudyTable
from search.settings.terminal import legible_width, wrapped
from search.storage.failed import failed_for_good
from search.storage.file_finding import FileFinder
from search.storage.paths import StudyPaths
from search.storage.snapshot import StudySnapshot
from search.storage.study import location

DOMINANCE = {
    "paper": "The paper's rows, and our best file on validation that is no larger",
    "re-run": "The re-run's rows, and our best file on validation that is no larger",
}
RANKING = "Methods by the retained saving of their best trial on validation"
STAGES = "What each stage of the chosen trial saves"
LAYERS = "What each layer of the recommended trial takes"
COST = "What the search took"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenReport:
    """A report that lies in its files."""

    table: StudyTable
    recommendation: str
    kept: list[str]
    """What there is to say of files that are gone, and of optuna-dashboard."""
    page: Path


def show_report(
    study: Study,
    paths: StudyPaths,
    against: Sequence[Study] = (),
    *,
    out: Path | None = None,
) -> None:
    """Write the study's report, then print its table and where it is.

    See `write_report`, also for what it raises.
    """
    show_written(write_report(study, paths, against, out=out))


def show_written(written: WrittenReport, told: Collection[str] = frozenset()) -> None:
    """Print the table, what to take, what to know, and where the report is.

    Args:
        written: The report.
        told: Kinds of reasons of failures that the reader knows already.
    """
    print(fitted(written.table, legible_width()))
    sentences = notes(written.table, brief=True, told=told)
    for line in [written.recommendation, *sentences, *written.kept]:
        print(wrapped(line))
    print(f"\nReport: {written.page}")


def write_report(
    study: Study,
    paths: StudyPaths,
    against: Sequence[Study] = (),
    *,
    out: Path | None = None,
    status: str = "",
) -> WrittenReport:
    """Write the study's report: report.md, report.csv, and report.html, which needs no other file.

    The table also becomes the study's note in optuna-dashboard, unless that is the user's own.

    Args:
        study: It has been worked on.
        paths: Where its files are.
        against: Studies whose progress is drawn beside its own.
        out: Folder of the report, that of the study if None.
        status: How far the study is, while it runs.

    Raises:
        BadInputError: The study, or one of the others, has no finished trial, or the report cannot
            be written.
    """
    study, *against = (StudySnapshot(each) for each in (study, *against))
    table, *others = (_table(each) for each in (study, *against))
    layers, gone = _layers(study, table, FileFinder(study, paths))
    front, *of_trials = figures(table)
    drawings = [*of_trials, *search_figures(study, table, others)]
    by_layer = layer_drawing(layers) if layers else None
    chosen = chosen_trial(study)
    for drawing in (front, *drawings):
        drawing.mark_(None if chosen is None else chosen.number)
    where = location(study, paths)
    recommended = recommendation(study, table, where)
    told = [recommended, *notes(table), *gone]
    markdown = _markdown(table, _tables(table, others, layers, "pipe"), told, status)
    parts = Parts(
        front=front,
        layers=layer_table(layers, "html") if layers else "",
        layer_drawing=by_layer,
        paper=_published(table, "html"),
        search=_of_the_search(table, others, "html"),
        drawings=drawings,
        notes=gone,
        status=status,
    )
    folder = out or paths.folder
    files = {ending: folder / f"report.{ending}" for ending in ("md", "csv", "html")}
    texts = {"md": markdown, "csv": table.csv(), "html": page(study, table, parts, where)}
    try:
        for ending, file in files.items():
            write_atomically(file, texts[ending].encode())
    except OSError as err:
        raise BadInputError(
            f"The report cannot be written to {folder}: {err.strerror}. "
            "`python -m search.report --out DIR` puts it elsewhere."
        ) from err
    kept = _keep_in_database(study, markdown, [front, *of_trials, *filter(None, [by_layer])])
    return WrittenReport(
        table=table, recommendation=recommended, kept=[*gone, *kept], page=files["html"]
    )


def _layers(
    study: Study, table: StudyTable, finder: FileFinder
) -> tuple[TrialLayers | None, list[str]]:
    """Return the recommended trial's layers if its file is to be had, and which files are not."""
    layers, told = None, []
    try:
        layers = recommended_layers(study, table, finder)
    except MeasurementError as err:
        told.append(str(err))
    except (AwayError, BadInputError) as err:
        told.append(f"{err} The table of layers is left out.")
    absent = missing_files(table, finder)
    return layers, absent or told


def _keep_in_database(study: Study, note: str, drawings: Sequence[Drawing]) -> list[str]:
    """Let optuna-dashboard show the report; return what there is to say of that."""
    try:
        is_kept = keep_note(study, note)
        for drawing in drawings:
            save_plotly_graph_object(study, drawing.figure, graph_object_id=drawing.name)
    except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError):
        return ["The database cannot be written to: optuna-dashboard does not show the report."]
    return [] if is_kept else ["The study's note in optuna-dashboard is your own, and stays."]


def _table(study: Study) -> StudyTable:
    table = StudyTable(study)
    if not table.rows:
        reasons = failure_sentences(failed_for_good(table.trials)) + foreign_sentences(table)
        raise BadInputError("\n".join([f"Study '{table.name}' has no finished trial.", *reasons]))
    return table


def _tables(
    table: StudyTable,
    others: Sequence[StudyTable],
    layers: TrialLayers | None,
    form: str,
) -> dict[str, str]:
    """Return the tables that the study has beside its trials, by title."""
    by_layer = {LAYERS: layer_table(layers, form)} if layers else {}
    return _published(table, form) | by_layer | _of_the_search(table, others, form)


def _published(table: StudyTable, form: str) -> dict[str, str]:
    """Return what stands beside the rows that others have published, by title."""
    tables = {title: dominance_table(table, source, form) for source, title in DOMINANCE.items()}
    return {title: text for title, text in tables.items() if text}


def _of_the_search(table: StudyTable, others: Sequence[StudyTable], form: str) -> dict[str, str]:
    """Return how the search went, by title."""
    tables = {
        RANKING: ranking([table, *others], form),
        STAGES: shares(table, form),
        COST: cost_table(table, form),
    }
    return {title: text for title, text in tables.items() if text}


def _markdown(
    table: StudyTable, tables: Mapping[str, str], told: Sequence[str], status: str
) -> str:
    advice, *notes_ = told
    made_with = ", ".join(f"{name} {value}" for name, value in settings(table).items())
    lines = "\n".join(f"- {note}" for note in [*notes_, f"Settings: `{made_with}`"])
    parts = [f"# Study {table.name}\n", *([f"{status}\n"] if status else []), f"{advice}\n"]
    parts.append(f"{table.text('pipe')}\n\n{lines}\n")
    parts += [f"## {title}\n\n{text}\n" for title, text in tables.items()]
    front = [f"- {told}\n  `{command}`" for told, command in front_commands(table)]
    if front:
        parts.append(f"## {FRONT}\n\n" + "\n".join(front) + "\n")
    return "\n".join(parts)
