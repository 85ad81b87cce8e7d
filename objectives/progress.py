"""How a trial says where it is, and how it learns that it should stop."""

from typing import Protocol


class StopRequested(Exception):  # noqa: N818 - nothing went wrong
    """Somebody asked the study to stop; raised out of whatever the trial was doing."""


class Progress(Protocol):
    """Told by a trial what it is doing; each method may raise `StopRequested`."""

    def start_trial(self, description: str) -> None:
        """A trial begins, or what is like one."""

    def stage(self, name: str) -> None:
        """A stage begins."""

    def advance(self, epochs: float) -> None:
        """So much more was trained, in epochs."""

    def check(self) -> None:
        """Nothing happened but time."""


class SilentProgress:
    """Shows nothing and never stops."""

    def start_trial(self, description: str) -> None:
        """Do nothing."""

    def stage(self, name: str) -> None:
        """Do nothing."""

    def advance(self, epochs: float) -> None:
        """Do nothing."""

    def check(self) -> None:
        """Do nothing."""


class CountingProgress:
    """Counts the epochs that are trained, and tells another progress everything.

    A stage may stop before all its epochs are trained.
    """

    def __init__(self, told: Progress) -> None:
        self._told = told
        self.epochs = 0.0

    def start_trial(self, description: str) -> None:
        """Tell."""
        self._told.start_trial(description)

    def stage(self, name: str) -> None:
        """Tell."""
        self._told.stage(name)

    def advance(self, epochs: float) -> None:
        """Count and tell."""
        self.epochs += epochs
        self._told.advance(epochs)

    def check(self) -> None:
        """Ask."""
        self._told.check()
