"""How a worker process learns that its trial is to go back into the queue."""

import threading

from objectives.progress import StopRequested


class WorkerProgress:
    """Shows nothing, as the driver's bar does; hears from any thread that its study is to stop."""

    def __init__(self) -> None:
        self._study: str | None = None
        self._stopping = threading.Event()

    def begin(self, study: str) -> None:
        """A task of `study` begins."""
        self._study = study
        self._stopping.clear()

    def request_stop(self, study: str | None = None) -> None:
        """Stop the running trial if it is one of `study`, or whatever runs."""
        if study in {None, self._study}:
            self._stopping.set()

    def start_trial(self, description: str) -> None:
        """A trial begins."""
        self.check()

    def stage(self, name: str) -> None:
        """A stage begins."""
        self.check()

    def advance(self, epochs: float) -> None:
        """So much was trained."""
        self.check()

    def check(self) -> None:
        """Raise `StopRequested` if the study is to stop."""
        if self._stopping.is_set():
            raise StopRequested


PROGRESS = WorkerProgress()
"""Of this process."""
