"""Why a trial ends without a number."""


class TrialError(Exception):
    """This trial cannot be scored: it fails with this text, and the study goes on."""


class TrainingDivergedError(TrialError):
    """The training loss stopped being a finite number."""


class MeasurementError(TrialError):
    """The artifact was written but cannot be run or gives no finite answers."""
