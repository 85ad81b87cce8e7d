"""What the commands share in parsing their options; nothing here imports torch."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

T = TypeVar("T")

STUDIES_DIR = Path("studies")
"""Where studies are kept unless another folder is named."""

TASK_NAMES = ("multiclass", "binary", "multilabel", "regression", "segmentation", "own")
"""Of `models.tasks`, whose import takes seconds."""


class OneLineParser(argparse.ArgumentParser):
    """Refuses bad input with one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Print `message` without the usage and exit."""
        self.exit(2, f"{message[0].upper()}{message[1:]}\n")


def add_study_location(parser: "argparse._ActionsContainer") -> None:
    """Add the options that say where studies are kept."""
    parser.add_argument(
        "--studies-dir",
        type=Path,
        default=STUDIES_DIR,
        metavar="DIR",
        help="folder of databases, artifacts, reports and the stage cache (default: studies)",
    )
    parser.add_argument(
        "--storage",
        metavar="URL",
        help="database URL (default: SQLite, sqlite:///STUDIES_DIR/STUDY.db)",
    )


def add_data_root(parser: "argparse._ActionsContainer") -> None:
    """Add the option that says where data are kept."""
    parser.add_argument(
        "--data-root",
        type=Path,
        default=Path("data"),
        metavar="DIR",
        help="folder in which data are found or downloaded to (default: data)",
    )


def add_score(parser: "argparse._ActionsContainer") -> None:
    """Add the options that say what networks are asked and files are scored by."""
    parser.add_argument(
        "--task",
        choices=TASK_NAMES,
        help="what is asked of the network (default: as the labels look); own is what a "
        "LightningModule learns by its own steps",
    )
    parser.add_argument(
        "--metric",
        metavar="NAME",
        help="what files are scored by: accuracy; a class of torchmetrics, as MulticlassF1Score; "
        "package.module:function or path/file.py:function, which is given a file's path, and the "
        "part if it takes two, and returns a number (default: the task's)",
    )
    parser.add_argument(
        "--metric-args", metavar="JSON", help="what the class of torchmetrics is made with"
    )
    parser.add_argument(
        "--metric-mode", choices=("max", "min"), help="whether more or less of it is better"
    )


def positive_int(text: str) -> int:
    """Return the whole number above 0 that `text` is."""
    return int(_positive(_number(int, text, "a whole number")))


def positive_float(text: str) -> float:
    """Return the number above 0 that `text` is."""
    return _positive(_number(float, text, "a number"))


def _number(kind: Callable[[str], T], text: str, name: str) -> T:
    try:
        return kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be {name}, but got {text!r}") from None


def _positive(number: float) -> float:
    if not number > 0:
        raise argparse.ArgumentTypeError(f"must be greater than 0, but got {number}")
    return number


def list_of(kind: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """Return what parses values of `kind` that are separated by commas."""

    def parse_list(text: str) -> tuple[T, ...]:
        try:
            return tuple(kind(part) for part in text.split(","))
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"must be numbers separated by commas, but got {text!r}"
            ) from None

    return parse_list
