"""Numbers in sentences and hand-written tables, each of which must have been measured."""

import csv
import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from benchmarks.figures.blocks import made_tables, without_blocks

NOT_SHOWN = re.compile(r"```.*?```|`[^`\n]*`|<!--.*?-->|\]\([^)]*\)|arXiv:[\d.]+", re.DOTALL)
UNITS = r"(?:bytes|points|pp|times|x|ms|seconds|s|minutes|hours|MB|kB|uJ|doublings)"
NUMBER = r"(?<![\w.,-])[-+±]?\d[\d,]*(?:\.\d+)?(?![\w.]*\d)"
FIGURE = re.compile(
    rf"(?P<range>{NUMBER} to )?(?P<number>{NUMBER})(?P<spread> ± {NUMBER})?"
    rf"(?P<unit> ?%| ?{UNITS}\b)?"
)
PLACES = (0, 1, 2, 3, 4)


def figures(text: str) -> list[str]:
    """Return the numbers of a Markdown text that claim something: with a unit or a fraction."""
    shown = NOT_SHOWN.sub(" ", without_blocks(text))
    found = []
    for match in FIGURE.finditer(shown):
        parts = [match["range"], match["number"], match["spread"]]
        numbers = [part.strip(" ±").removesuffix(" to") for part in parts if part]
        if match["unit"] or "." in match["number"]:
            found += [number.strip() for number in numbers]
    return found


def known(texts: Iterable[str]) -> set[str]:
    """Return each number of `texts`, and of its percentage, in every rounding, without a sign."""
    spelled = set()
    for text in texts:
        for number in re.findall(r"\d[\d,]*(?:\.\d+)?(?:e-?\d+)?", text):
            value = float(number.replace(",", ""))
            for scaled in (value, 100 * value):
                spelled |= {f"{scaled:.{places}f}" for places in PLACES}
    return spelled


def check_prose(document: Path, folders: Iterable[Path]) -> list[str]:
    """Return the figures of `document` that no committed file of `folders` has."""
    texts = [
        file.read_text()
        for folder in folders
        for file in sorted(folder.iterdir())
        if file.suffix in {".csv", ".md"} and file.name != "README.md"
    ]
    documents = [document, *(folder / "README.md" for folder in folders)]
    made = [made_tables(each.read_text()) for each in documents if each.is_file()]
    there = known([*texts, *chain.from_iterable(made)])
    return [
        f"{document}: {figure} is in no committed table, nor in facts.csv."
        for figure in figures(document.read_text())
        if figure.lstrip("+-").replace(",", "") not in there
    ]


def check_facts(file: Path) -> list[str]:
    """Return the lines of a facts.csv that do not say what they are and how they were measured."""
    with file.open() as lines:
        return [
            f"{file}: {row['figure']} has no {name}."
            for row in csv.DictReader(lines)
            for name in ("what", "command", "commit")
            if not (row.get(name) or "").strip()
        ]
