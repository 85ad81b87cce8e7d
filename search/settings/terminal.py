"""What a command prints: it fits the terminal, and no terminal can stop the command.

Nothing here imports torch.
"""

import codecs
import os
import shutil
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn, TextIO, cast

STOPPED = 130
"""Exit code of a command that was stopped by Ctrl-C, as shells have it."""


def as_process(main: Callable[[], int]) -> int:
    """Do as `main` does, in the process that a user has started: Ctrl-C ends it in a line."""
    # No KeyboardInterrupt: one that passed exec() decides the code, and Python shows its way.
    signal.signal(signal.SIGINT, _stop)
    return main()


def _stop(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - a handler's signature
    print("\nStopped.", file=sys.stderr)
    sys.exit(STOPPED)


def command(work: Callable[[], int]) -> int:
    """Do what a command does; return its exit code: 2 for bad input, 1 for a fault of a file."""
    with forgiving_output():
        from models.errors import BadInputError
        from objectives.errors import AwayError, DiskFullError, MeasurementError

        try:
            return work()
        except (Exception, KeyboardInterrupt) as err:
            stop = _stop_behind(err)
            if stop is not None:
                if isinstance(stop, KeyboardInterrupt):
                    print("\nStopped.", file=sys.stderr)
                return STOPPED
            if not isinstance(err, BadInputError | AwayError | DiskFullError | MeasurementError):
                raise
            print(err, file=sys.stderr)
            return 2 if isinstance(err, BadInputError) else 1


def _stop_behind(err: BaseException | None) -> BaseException | None:
    """Return what stopped the command, if the user did: compiled modules that load wrap it."""
    while err is not None and not isinstance(err, KeyboardInterrupt | SystemExit):
        err = err.__cause__ or err.__context__
    return err


def width() -> int | None:
    """Return the columns of the terminal; None where what is printed goes elsewhere."""
    if sys.stdout is None or not (sys.stdout.isatty() or os.environ.get("COLUMNS")):
        return None
    return shutil.get_terminal_size().columns


LEGIBLE = 100
"""Columns of a line that a person reads, where no terminal says how many there are."""


def legible_width() -> int:
    """Return the columns of a table: the terminal's, or as many as a person reads."""
    return width() or LEGIBLE


def wrapped(text: str) -> str:
    """Return a sentence, broken where the terminal ends."""
    columns = width()
    return text if columns is None else _filled(text, columns)


def paragraph(text: str, indent: str = "") -> str:
    """Return text of any length in lines that a person reads, no longer than the terminal's."""
    return _filled(text, min(LEGIBLE, legible_width()), indent)


def _filled(text: str, columns: int, indent: str = "") -> str:
    return textwrap.fill(
        text,
        columns,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


PLAIN = {"†": "*", "±": "+-", "→": "->", "…": "..."}
"""What stands for signs where the terminal has ASCII only."""


def _plain(err: UnicodeError) -> tuple[str, int]:
    """Replace signs that an encoding lacks by those that look alike, or by question marks."""
    assert isinstance(err, UnicodeEncodeError)
    lacking = err.object[err.start : err.end]
    return "".join(PLAIN.get(sign, "?") for sign in lacking), err.end


codecs.register_error("search.plain", _plain)


@contextmanager
def forgiving_output() -> Iterator[None]:
    """Let prints within the block succeed whatever the terminal is.

    Signs that it does not have become others like them, or question marks. If nobody reads on, as
    behind `| head`, what is printed is dropped, and the work goes on.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (each and forgiving(each) for each in before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        sys.stdout, sys.stderr = before


def forgiving(stream: TextIO) -> TextIO:
    """Return a stream to which writing never fails, as `forgiving_output` says."""
    with suppress(AttributeError, ValueError):  # it was replaced by one of another kind
        stream.reconfigure(errors="search.plain")  # type: ignore[attr-defined] # a TextIOWrapper
    return cast(TextIO, _Forgiving(stream))


class _Forgiving:
    """A stream to which writing never fails."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or drop the text."""
        with self._dropping():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or drop what is left."""
        with self._dropping():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a stream has
        return getattr(self._stream, name)

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError):  # its reader has gone, or it is closed
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)
