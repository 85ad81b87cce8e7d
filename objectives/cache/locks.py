"""Wait for another process without being deaf."""

from contextlib import AbstractContextManager

from filelock import FileLock, Timeout

from objectives.progress import Progress

POLL_SECONDS = 0.5


def hold(lock: FileLock, progress: Progress) -> AbstractContextManager[object]:
    """Return `lock`, taken; while another process has it, ask `progress` whether to stop."""
    while True:
        try:
            return lock.acquire(timeout=POLL_SECONDS)
        except Timeout:
            progress.check()
