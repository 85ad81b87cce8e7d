"""Tables in Markdown files that are made from committed results, and may be made again."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

BLOCK = re.compile(r"(<!-- figures: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def check_blocks(document: Path, makers: Mapping[str, Callable[[], str]]) -> list[str]:
    """Return what is wrong with the marked tables of `document`."""
    faults = []
    for _, name, shown, _ in BLOCK.findall(document.read_text()):
        if name not in makers:
            faults.append(f"{document}: nothing makes a table {name}.")
        elif shown != f"{makers[name]()}\n":
            faults.append(f"{document}: table {name} is not what the committed files give.")
    return faults


def write_blocks(document: Path, makers: Mapping[str, Callable[[], str]]) -> None:
    """Put each marked table of `document` there anew."""

    def anew(found: re.Match[str]) -> str:
        head, name, _, end = found.groups()
        return f"{head}{makers[name]()}\n{end}"

    document.write_text(BLOCK.sub(anew, document.read_text()))


def made_tables(text: str) -> list[str]:
    """Return the marked tables of `text`."""
    return [shown for _, _, shown, _ in BLOCK.findall(text)]


def without_blocks(text: str) -> str:
    """Return `text` without its marked tables."""
    return BLOCK.sub("", text)
