"""Write a study's report as Markdown, CSV and one HTML page.

`python -m search.report --study NAME`; `search.run` does it at its end.
"""

import html
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from search.options import OneLineParser, add_study_location

if TYPE_CHECKING:
    from optuna import Study

    from search.paths import StudyPaths
    from search.table import StudyTable

DOMINANCE = "The paper's rows, and ours that is no larger and no less accurate on test"

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
<h2>{dominance_title}</h2>
<div class="table">{dominance}</div>
<h2>Settings</h2>
<p><code>{settings}</code></p>
</body>
</html>
"""


def show_report(study: "Study", paths: "StudyPaths") -> None:
    """Print the study's table, write its report and print where it is.

    Written are report.md, report.csv and report.html, which needs no other file and no network;
    the table also becomes the study's note in optuna-dashboard.

    Raises:
        BadInputError: The study has no finished trial.
    """
    from optuna_dashboard import save_note

    from models.errors import BadInputError
    from objectives.files import write_atomically
    from search.table import StudyTable

    table = StudyTable(study)
    if not table.rows:
        raise BadInputError(
            "\n".join([f"Study '{table.name}' has no finished trial.", *table.failures])
        )
    print(table.text("simple"), *table.notes(), sep="\n")
    markdown = _markdown(table)
    for ending, text in (("md", markdown), ("csv", table.csv()), ("html", _page(table))):
        write_atomically(paths.report(ending), text.encode())
    save_note(study, markdown)
    print(f"\nReport: {paths.report('html')}")


def _markdown(table: "StudyTable") -> str:
    from search.front import dominance_table

    notes = "\n".join(f"- {note}" for note in [*table.notes(), f"Settings: `{table.settings()}`"])
    text = f"# Study {table.name}\n\n{table.text('pipe')}\n\n{notes}\n"
    against_paper = dominance_table(table, "pipe")
    return text + (f"\n## {DOMINANCE}\n\n{against_paper}\n" if against_paper else "")


def _page(table: "StudyTable") -> str:
    from search.front import dominance_table
    from search.plots import figures

    drawn = [
        figure.to_html(full_html=False, include_plotlyjs=position == 0)
        for position, figure in enumerate(figures(table))
    ]
    return _PAGE.format(
        title=f"Study {html.escape(table.name)}",
        table=table.text("html"),
        notes="\n".join(f"<p>{html.escape(note)}</p>" for note in table.notes()),
        figures="\n".join(drawn),
        dominance_title=DOMINANCE,
        dominance=dominance_table(table, "html")
        or "<p>The paper has no table of this network.</p>",
        settings=html.escape(table.settings()),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report of the study that the options name; return the exit code."""
    parser = OneLineParser(prog="python -m search.report", description=__doc__, allow_abbrev=False)
    parser.add_argument("--study", required=True, metavar="NAME")
    add_study_location(parser)
    options = parser.parse_args(argv)

    from models.errors import BadInputError
    from search.paths import StudyPaths
    from search.study import load_study

    try:
        paths = StudyPaths(options.studies_dir, options.study)
        study = load_study(paths.study, options.storage or paths.url)
        paths.make()
        show_report(study, paths)
    except BadInputError as err:
        print(err, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
