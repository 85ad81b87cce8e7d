"""Write a study's report as Markdown, CSV and one HTML page.

`python -m search.report --study NAME`; `search.run` does it at its end.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from search.parsing import OneLineParser, add_study_location

if TYPE_CHECKING:
    from optuna import Study

    from search.layers import TrialLayers
    from search.paths import StudyPaths
    from search.table import StudyTable

DOMINANCE = "The paper's rows, and ours that is no larger and no less accurate on test"
RANKING = "Methods by the retained saving of their best trial on validation"
STAGES = "What each stage of the chosen trial saves"
LAYERS = "What each layer of the recommended trial takes"
COST = "What the search took"


def show_report(study: "Study", paths: "StudyPaths", against: "Sequence[Study]" = ()) -> None:
    """Print the study's table, write its report and print where it is.

    Written are report.md, report.csv and report.html, which needs no other file and no network;
    the table also becomes the study's note in optuna-dashboard.

    Args:
        study: It has been worked on.
        paths: Where its report goes.
        against: Studies whose progress is drawn beside its own.

    Raises:
        BadInputError: The study, or one of the others, has no finished trial.
    """
    from optuna_dashboard import save_note, save_plotly_graph_object

    from objectives.files import write_atomically
    from search.layers import layer_drawing, recommended_layers
    from search.notes import notes
    from search.page import page
    from search.plots import figures
    from search.search_plots import search_figures

    table, *others = (_table(each) for each in (study, *against))
    print(table.text("simple"), *notes(table), sep="\n")
    layers = recommended_layers(study, table, paths)
    drawings = [*figures(table), *([layer_drawing(layers)] if layers else [])]
    markdown = _markdown(table, _tables(table, others, layers, "pipe"))
    written = page(
        study,
        table,
        [*drawings, *search_figures(study, table, others)],
        _tables(table, others, layers, "html"),
    )
    for ending, text in (("md", markdown), ("csv", table.csv()), ("html", written)):
        write_atomically(paths.report(ending), text.encode())
    save_note(study, markdown)
    for drawing in drawings:
        save_plotly_graph_object(study, drawing.figure, graph_object_id=drawing.name)
    print(f"\nReport: {paths.report('html')}")


def _table(study: "Study") -> "StudyTable":
    from models.errors import BadInputError
    from search.table import StudyTable

    table = StudyTable(study)
    if not table.rows:
        reasons = [
            f"Trial {trial.number}: {trial.user_attrs['failure']}" for trial in table.failed
        ]
        raise BadInputError("\n".join([f"Study '{table.name}' has no finished trial.", *reasons]))
    return table


def _tables(
    table: "StudyTable",
    others: "Sequence[StudyTable]",
    layers: "TrialLayers | None",
    form: str,
) -> dict[str, str]:
    """Return the tables that the study has beside its trials, by title."""
    from search.cost import cost_table
    from search.front import dominance_table
    from search.layers import layer_table
    from search.ranking import ranking, shares

    tables = {
        DOMINANCE: dominance_table(table, form),
        RANKING: ranking([table, *others], form),
        STAGES: shares(table, form),
        LAYERS: layer_table(layers, form) if layers else "",
        COST: cost_table(table, form),
    }
    return {title: text for title, text in tables.items() if text}


def _markdown(table: "StudyTable", tables: "Mapping[str, str]") -> str:
    from search.notes import notes, settings
    from search.page import FRONT, front_commands

    lines = "\n".join(f"- {note}" for note in [*notes(table), f"Settings: `{settings(table)}`"])
    parts = [f"# Study {table.name}\n\n{table.text('pipe')}\n\n{lines}\n"]
    parts += [f"## {title}\n\n{text}\n" for title, text in tables.items()]
    front = [f"- {told}\n  `{command}`" for told, command in front_commands(table)]
    if front:
        parts.append(f"## {FRONT}\n\n" + "\n".join(front) + "\n")
    return "\n".join(parts)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report of the study that the options name; return the exit code."""
    parser = OneLineParser(prog="python -m search.report", description=__doc__, allow_abbrev=False)
    parser.add_argument("--study", required=True, metavar="NAME")
    parser.add_argument(
        "--against",
        nargs="+",
        default=[],
        metavar="NAME",
        help="draw the progress of these studies, of the same folder or storage, beside its own",
    )
    add_study_location(parser)
    options = parser.parse_args(argv)

    from models.errors import BadInputError
    from search.paths import StudyPaths
    from search.study import load_study

    try:
        names = [options.study, *options.against]
        paths = [StudyPaths(options.studies_dir, name) for name in names]
        study, *others = (load_study(each.study, options.storage or each.url) for each in paths)
        paths[0].make()
        show_report(study, paths[0], others)
    except BadInputError as err:
        print(err, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
