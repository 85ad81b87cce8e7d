"""Write a study's report as Markdown, CSV and one HTML page.

`python -m search.report --study NAME`; `search.run` does it at its end.
"""

import html
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from search.parsing import OneLineParser, add_study_location

if TYPE_CHECKING:
    from optuna import Study

    from search.paths import StudyPaths
    from search.table import Row, StudyTable

DOMINANCE = "The paper's rows, and ours that is no larger and no less accurate on test"
RANKING = "Methods by the retained saving of their best trial on validation"
STAGES = "What each stage of the chosen trial saves"
FRONT = "The Pareto front on test, and the command that makes each file again"

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; }}
body {{ max-width: 96rem; margin: 2rem auto; padding: 0 1rem; }}
.table {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .2rem .7rem; border-bottom: 1px solid #ddd; white-space: nowrap; }}
code {{ overflow-wrap: anywhere; }}
</style>
</head>
<body>
<h1>{title}</h1>
<div class="table">{table}</div>
{notes}
{figures}
{tables}
<h2>{front_title}</h2>
<ul>{front}</ul>
<h2>Settings</h2>
<p><code>{settings}</code></p>
</body>
</html>
"""


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
    from search.notes import notes
    from search.plots import figures

    table, *others = (_table(each) for each in (study, *against))
    print(table.text("simple"), *notes(table), sep="\n")
    markdown = _markdown(table, others)
    page = _page(study, table, others)
    for ending, text in (("md", markdown), ("csv", table.csv()), ("html", page)):
        write_atomically(paths.report(ending), text.encode())
    save_note(study, markdown)
    for name, figure in figures(table).items():
        save_plotly_graph_object(study, figure, graph_object_id=name)
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


def _tables(table: "StudyTable", others: "Sequence[StudyTable]", form: str) -> dict[str, str]:
    """Return the tables that the study has beside its trials, by title."""
    from search.front import dominance_table
    from search.ranking import ranking, shares

    tables = {
        DOMINANCE: dominance_table(table, form),
        RANKING: ranking([table, *others], form),
        STAGES: shares(table, form),
    }
    return {title: text for title, text in tables.items() if text}


def _markdown(table: "StudyTable", others: "Sequence[StudyTable]") -> str:
    from search.notes import notes, settings

    lines = "\n".join(f"- {note}" for note in [*notes(table), f"Settings: `{settings(table)}`"])
    parts = [f"# Study {table.name}\n\n{table.text('pipe')}\n\n{lines}\n"]
    parts += [f"## {title}\n\n{text}\n" for title, text in _tables(table, others, "pipe").items()]
    front = [f"- {told}\n  `{command}`" for told, command in _front_commands(table)]
    if front:
        parts.append(f"## {FRONT}\n\n" + "\n".join(front) + "\n")
    return "\n".join(parts)


def _front_commands(table: "StudyTable") -> Iterator[tuple[str, str]]:
    """Yield for each member of the front what it is, and the command that makes it again."""
    from search.front import front_rows
    from search.remake import remake_command

    for row in front_rows(table):
        name = f"{table.name}-trial-{row.trial.number}"
        command = remake_command(table.config, row.plan, name)
        if command is not None:
            yield _told(row), command


def _told(row: "Row") -> str:
    from search.front import shipped_bytes

    return (
        f"trial {row.trial.number}, {row.label}: {shipped_bytes(row):,} bytes, "
        f"{row.attribute('test_accuracy_pct'):.2f} %"
    )


def _page(study: "Study", table: "StudyTable", others: "Sequence[StudyTable]") -> str:
    from search.notes import notes, settings
    from search.plots import figures
    from search.search_plots import search_figures

    drawn = [
        figure.to_html(full_html=False, include_plotlyjs=position == 0)
        for position, figure in enumerate(
            [*figures(table).values(), *search_figures(study, table, others)]
        )
    ]
    return _PAGE.format(
        title=f"Study {html.escape(table.name)}",
        table=table.text("html"),
        notes="\n".join(f"<p>{html.escape(note)}</p>" for note in notes(table)),
        figures="\n".join(drawn),
        tables="\n".join(
            f'<h2>{html.escape(title)}</h2>\n<div class="table">{text}</div>'
            for title, text in _tables(table, others, "html").items()
        ),
        front_title=FRONT,
        front="\n".join(
            f"<li>{html.escape(told)}<br><code>{html.escape(command)}</code></li>"
            for told, command in _front_commands(table)
        ),
        settings=html.escape(settings(table)),
    )


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
