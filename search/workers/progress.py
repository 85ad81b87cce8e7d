"""One live bar for the whole study, and the way that Ctrl-C reaches a trial."""

import signal
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from tqdm import tqdm

from objectives.progress import StopRequested

REDRAW_SECONDS = 0.3
"""Lightning's own bar, drawn after each batch, doubled the time of an epoch."""

DESCRIPTION_WIDTH = 30
"""Of the trial, beside the bar: there are searches whose trials have twenty parameters."""

TRIAL_UNITS = 0.5
"""Export and measurement of a trial count as so many epochs in the estimate of what remains."""


class StudyProgress:
    """A bar over all epochs and trials that are left, while there is work; else there is none.

    Args:
        shown: Whether there is a bar at all, where stderr is a terminal.
    """

    def __init__(self, *, shown: bool = True) -> None:
        self._stopping = False
        self._trial = ""
        self._left = 0.0
        self._shown = shown and sys.stderr is not None and sys.stderr.isatty()
        self._bar: tqdm[NoReturn] | None = None

    def expect(self, *, epochs: int, trials: int) -> None:
        """Say how much there is to do."""
        self._left = epochs + trials * TRIAL_UNITS

    def start_trial(self, description: str) -> None:
        """Show which trial runs."""
        self._trial = description

    def stage(self, name: str) -> None:
        """Show which stage runs."""
        self.check()
        told = textwrap.shorten(self._trial, DESCRIPTION_WIDTH, placeholder=" ...")
        if self._bar is not None:
            self._bar.set_description(f"{told} {name}")

    def advance(self, epochs: float) -> None:
        """Move the bar by what was trained."""
        self.check()
        self._move(epochs)

    def finish_trial(self, line: str) -> None:
        """Print a line about a finished trial above the bar."""
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()
        self._move(TRIAL_UNITS)

    def _move(self, units: float) -> None:
        moved = max(0.0, min(units, self._left))
        self._left -= moved
        if self._bar is not None:
            self._bar.update(moved)

    def stop(self) -> None:
        """Let the next look raise `StopRequested`."""
        self._stopping = True

    def check(self) -> None:
        """Raise `StopRequested` if a signal came, or somebody else wants an end."""
        if self._stopping:
            raise StopRequested

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Turn SIGINT and SIGTERM within the block into `StopRequested`; a second one kills."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        caught = (signal.SIGINT, signal.SIGTERM) if in_main_thread else ()
        before = {number: signal.getsignal(number) for number in caught}

        def request_stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler's signature
            self.stop()
            for each in before:
                signal.signal(each, signal.SIG_DFL)

        for number in before:
            signal.signal(number, request_stop)
        try:
            with self._drawn():
                yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def _drawn(self) -> Iterator[None]:
        """Draw the bar within the block, and nothing of it beyond."""
        if not self._shown or not self._left:
            yield
            return
        bar = self._bar = tqdm(
            total=self._left,
            mininterval=REDRAW_SECONDS,
            leave=False,
            dynamic_ncols=True,
            smoothing=0.05,  # stages differ in speed: nearly the mean of all so far
            bar_format="{desc}{percentage:3.0f}%|{bar}| {elapsed} gone, {remaining} left",
            file=sys.stderr,
        )
        try:
            yield
        finally:
            bar.close()
            self._bar = None
