"""Go on with a study that somebody has renamed meanwhile; see `search.storage.found`."""

from collections.abc import Callable
from typing import TypeVar

from objectives.progress import StopRequested
from search.settings.terminal import paragraph
from search.workers.study_worker import StudyWorker

T = TypeVar("T")


def followed(worker: StudyWorker, do: Callable[[], T], tell: Callable[[str], None]) -> T:
    """Return what `do` returns; where the worker's study has another name meanwhile, do it again.

    Args:
        worker: Of the study.
        do: What works on it, and may be done again.
        tell: Told of the new name.

    Raises:
        BadInputError: The study was deleted; and whatever `do` raises.
    """
    while True:
        try:
            result = do()
        except StopRequested:
            raise
        except Exception:
            if not worker.is_gone():
                raise
        else:
            if not worker.is_gone():
                return result
        before = worker.paths.study
        worker.follow()
        tell(paragraph(f"Study '{before}' is called '{worker.paths.study}' now, and goes on."))
