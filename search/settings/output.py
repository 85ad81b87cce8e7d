"""What a command says, and to whom: talk for a person, the result alone, or JSON for a script.

Nothing here imports torch.
"""

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

from search.settings.terminal import forgiving

Form = Literal["text", "quiet", "json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where a command's result goes; talk is what is printed."""

    form: Form = "text"
    """`quiet` has no talk; `json` is one object a line, and its talk goes to stderr."""
    stream: TextIO | None = None
    """Where the result goes; None is where talk goes."""

    def line(self, text: str) -> None:
        """Write a line of the result."""
        print(text, file=self.stream or sys.stdout, flush=True)

    def event(self, facts: Mapping[str, Any]) -> None:
        """Write an object, where that is the form; numbers that JSON has not are null."""
        if self.form == "json":
            self.line(json.dumps(_finite(facts), allow_nan=False, default=str))


def _finite(value: Any) -> Any:  # noqa: ANN401 - whatever JSON has
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(name): _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


@contextmanager
def output(form: Form) -> Iterator[Output]:
    """Send talk within the block, also that of processes which it starts, where `form` says."""
    if form == "text":
        yield Output()
        return
    if sys.stdout is None:  # nobody listens
        yield Output(form=form)
        return
    number = None
    with suppress(AttributeError, OSError, ValueError):  # a stream of Python's alone
        number = sys.stdout.fileno()
    if number is None:
        with Path(os.devnull).open("w") as nowhere:
            result, talk = sys.stdout, nowhere if form == "quiet" else sys.stderr
            with redirect_stdout(talk):
                yield Output(form=form, stream=forgiving(result))
        return
    with _sent_elsewhere(number, quiet=form == "quiet") as stream:
        yield Output(form=form, stream=forgiving(stream))


@contextmanager
def _sent_elsewhere(number: int, *, quiet: bool) -> Iterator[TextIO]:
    """Let what is written to a descriptor go elsewhere; give a stream to where it went before."""
    sys.stdout.flush()
    kept = os.dup(number)  # which no other process inherits
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere if quiet or sys.stderr is None else sys.stderr.fileno(), number)
    os.close(nowhere)
    try:
        with open(kept, "w", encoding=sys.stdout.encoding, closefd=False) as stream:
            yield stream
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os.dup2(kept, number)
        os.close(kept)
