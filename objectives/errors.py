"""Why a trial ends without a number, what stops a whole study, and what cannot be read."""


class DiskFullError(Exception):
    """No room is left for a file; the study goes on when there is."""


class AwayError(Exception):
    """A server that a study needs stays away; the study goes on when it is back."""


class TrialError(Exception):
    """This trial cannot be scored: it fails with this text, and the study goes on."""


class TrainingDivergedError(TrialError):
    """The training loss stopped being a finite number."""


class BaselineError(TrialError):
    """The network as it was given cannot be trained or measured: nor can any trial's."""


class MeasurementError(TrialError):
    """The artifact was written but cannot be run or gives no finite answers."""


class UndefinedScoreError(MeasurementError):
    """The artifact answers, but its score is no finite number."""


class ContainerError(Exception):
    """Bytes are no container that can be decoded; the text is one line that says why."""
