"""One live bar for the whole study, and the way that Ctrl-C reaches a trial."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tqdm import tqdm

from objectives.progress import StopRequested

REDRAW_SECONDS = 0.3
"""Lightning's own bar, drawn after each batch, doubled the time of an epoch."""

TRIAL_UNITS = 0.5
"""Export and measurement of a trial count as so many epochs in the estimate of what remains."""


class StudyProgress:
    """A bar over all epochs and trials that are left; nothing is drawn where nobody watches."""

    def __init__(self) -> None:
        self._stopping = False
        self._trial = ""
        self._bar = tqdm(
            total=0.0,
            mininterval=REDRAW_SECONDS,
            smoothing=0.05,  # stages differ in speed: nearly the mean of all so far
            bar_format="{desc}{percentage:3.0f}%|{bar}| {elapsed} gone, {remaining} left",
            disable=None if sys.stderr.isatty() else True,
            file=sys.stderr,
        )

    def expect(self, *, epochs: int, trials: int) -> None:
        """Say how much there is to do."""
        self._bar.reset(epochs + trials * TRIAL_UNITS)

    def start_trial(self, description: str) -> None:
        """Show which trial runs."""
        self._trial = description

    def stage(self, name: str) -> None:
        """Show which stage runs."""
        self.check()
        self._bar.set_description(f"{self._trial} {name}")

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
        self._bar.update(max(0.0, min(units, (self._bar.total or 0.0) - self._bar.n)))

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
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self._bar.close()
