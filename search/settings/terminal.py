"""What a command prints: it fits the terminal, and no terminal can stop the command.

Nothing here imports torch.
"""

import os
import shutil
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn, TextIO

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


def wrapped(text: str) -> str:
    """Return a sentence, broken where the terminal ends."""
    columns = width()
    if columns is None:
        return text
    return textwrap.fill(text, columns, break_long_words=False, break_on_hyphens=False)


@contextmanager
def forgiving_output() -> Iterator[None]:
    """Let prints within the block succeed whatever the terminal is.

    Signs that it does not have become question marks. If nobody reads on, as behind `| head`, what
    is printed is dropped, and the work goes on.
    """
    before = sys.stdout, sys.stderr
    for stream in before:
        with suppress(AttributeError, ValueError):  # there is none, or it was replaced
            stream.reconfigure(errors="replace")  # type: ignore[union-attr] # a TextIOWrapper
    sys.stdout, sys.stderr = (each and _Forgiving(each) for each in before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        sys.stdout, sys.stderr = before


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
