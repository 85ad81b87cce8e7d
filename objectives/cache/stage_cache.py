"""The stage cache: what one trial has trained, no other trial trains again.

An entry is two files named by its key: `<key>.safetensors` holds the tensors, `<key>.json` says
what made them and carries the tensors' SHA-256. Both are written to a temporary name and renamed,
the JSON last, so an entry is there whole or not at all. A damaged entry counts as absent.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors.torch import load, save

from objectives.cache.locks import hold
from objectives.files import write_atomically
from objectives.network.state import NetworkState
from objectives.progress import Progress

log = logging.getLogger(__name__)

DEFAULT_LIMIT_BYTES = 20 * 10**9

ABANDONED_SECONDS = 24 * 3600
"""After this time nobody still writes a temporary file."""


@dataclass(frozen=True, slots=True)
class StageKey:
    """Names a stage's result by everything that decides it."""

    description: str
    """Canonical JSON of stage, settings, the key of the stage before, model, data, seed ..."""

    @classmethod
    def of(cls, **decides: Any) -> "StageKey":
        """Return the key of these facts; they must be JSON values."""
        return cls(json.dumps(decides, sort_keys=True))

    @property
    def digest(self) -> str:
        """The key in file names and user attributes: 32 hexadecimal digits."""
        return hashlib.sha256(self.description.encode()).hexdigest()[:32]


class StageCache:
    """A folder of stage results, shared by all studies and processes that use it.

    Args:
        folder: Made when the first entry is.
        limit_bytes: When entries take more, those that took the least time to compute go.
    """

    def __init__(self, folder: Path, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes

    def __contains__(self, key: StageKey) -> bool:
        return self._tensors(key).is_file() and self._facts(key).is_file()

    def is_computed_elsewhere(self, key: StageKey) -> bool:
        """Return whether another process is at work on the entry of `key`."""
        if not self._folder.is_dir():
            return False
        try:
            with self._lock(key).acquire(timeout=0):
                return False
        except Timeout:
            return True

    def get_or_compute(
        self, key: StageKey, compute: Callable[[], NetworkState], progress: Progress
    ) -> tuple[NetworkState, bool]:
        """Return the entry of `key` and whether it was computed now.

        While another process computes the same entry, this one waits for it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with hold(self._lock(key), progress):
            state = self._read(key)
            if state is not None:
                return state, False
            start = time.perf_counter()
            state = compute()
            self._write(key, state, seconds=time.perf_counter() - start)
            return state, True

    def _read(self, key: StageKey) -> NetworkState | None:
        content = b""
        try:
            content = self._tensors(key).read_bytes()
            facts = json.loads(self._facts(key).read_text())
            intact = facts["sha256"] == hashlib.sha256(content).hexdigest()
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            intact = False
        if not intact:
            log.warning("Cache entry %s is damaged; it is computed again.", self._tensors(key))
            return None
        return NetworkState.from_tensors(load(content))

    def _write(self, key: StageKey, state: NetworkState, *, seconds: float) -> None:
        content = save(state.to_tensors())
        self._make_room(len(content))
        if len(content) > self._limit_bytes:
            log.warning("A stage of %d bytes is larger than the whole cache may be.", len(content))
            return
        facts = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "seconds": seconds,
            "made_of": json.loads(key.description),
        }
        write_atomically(self._tensors(key), content)
        write_atomically(self._facts(key), json.dumps(facts, indent=1).encode())

    def _make_room(self, needed: int) -> None:
        """Remove entries, the quickest to compute first, until `needed` bytes fit.

        What writers that were killed left behind goes first.
        """
        for ending in ("safetensors", "json"):
            for temporary in self._folder.glob(f".*.{ending}.*"):
                with suppress(FileNotFoundError):
                    if time.time() - temporary.stat().st_mtime > ABANDONED_SECONDS:
                        temporary.unlink()
        sizes = {}
        for file in self._folder.glob("*.safetensors"):
            with suppress(FileNotFoundError):  # another process removed it since
                sizes[file] = file.stat().st_size
        total = sum(sizes.values())
        for file in sorted(sizes, key=_seconds_to_compute):
            if total + needed <= self._limit_bytes:
                return
            file.with_suffix(".json").unlink(missing_ok=True)
            file.unlink(missing_ok=True)
            total -= sizes[file]

    def _lock(self, key: StageKey) -> FileLock:
        return FileLock(self._folder / f"{key.digest}.lock")

    def _tensors(self, key: StageKey) -> Path:
        return self._folder / f"{key.digest}.safetensors"

    def _facts(self, key: StageKey) -> Path:
        return self._folder / f"{key.digest}.json"


def _seconds_to_compute(tensors: Path) -> float:
    try:
        return float(json.loads(tensors.with_suffix(".json").read_text())["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0  # half an entry, or a damaged one, is worth nothing
