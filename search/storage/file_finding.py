"""Find the files of a study's trials, wherever they were made: here, or in the study's store."""

import hashlib
import socket
from collections.abc import Sequence
from pathlib import Path

from optuna import Study
from optuna.artifacts import get_all_artifact_meta
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.trial import FrozenTrial

from objectives.errors import MeasurementError
from objectives.files import write_atomically
from search.storage.artifact_stores import SharedStore, store_of_study, url_of_study
from search.storage.file_sharing import SHARED
from search.storage.paths import StudyPaths
from search.storage.queue import WORKER

FOLDER = "artifact_folder"
"""Trial attribute: the folder, on the host of its worker, that its files were written to."""


class FileFinder:
    """Finds the files of one study, and fetches those that another machine has made.

    Args:
        study: Its trials are read only.
        paths: Where its files are here.
    """

    def __init__(self, study: Study, paths: StudyPaths) -> None:
        self._study = study
        self._paths = paths
        self._url = url_of_study(study)
        self._late = study.user_attrs
        self._store: SharedStore | None = None

    def find(self, trial: FrozenTrial) -> Path:
        """Return the trial's file, fetched if it is not here; its ONNX file then lies beside it.

        Raises:
            MeasurementError: It is neither here nor in the study's store; the text says where it
                may be.
            AwayError: The store cannot be reached.
            BadInputError: What reaches the store is not installed or set.
        """
        artifact = self._here(trial)
        for file in dict.fromkeys((artifact, artifact.with_suffix(".onnx"))):
            if not file.is_file():
                self.fetch(file.name, trial)
        return artifact

    def fetch(self, name: str, trial: FrozenTrial | None) -> Path:
        """Fetch a file of a trial, or of the study if None; return where it is now.

        Raises:
            MeasurementError: It is not in the study's store, or no longer as it was.
            AwayError: The store cannot be reached.
            BadInputError: What reaches the store is not installed or set.
        """
        digest = self._digest(name, trial)
        if digest is None:
            raise MeasurementError(
                f"{name} of study '{self._paths.study}' is gone."
                if trial is None
                else f"The file of trial {trial.number} is {self._absence(trial)}"
            )
        if self._store is None:
            self._store = store_of_study(self._study)
            assert self._store is not None
        storage = self._study._storage
        metas = [] if trial is None else get_all_artifact_meta(trial, storage=storage)
        for meta in [*metas, *get_all_artifact_meta(self._study)]:
            if meta.filename != name:
                continue
            try:
                content = self._store.read(meta.artifact_id)
            except ArtifactNotFound:
                continue
            if hashlib.sha256(content).hexdigest() == digest:
                file = self._paths.in_artifacts(name)
                write_atomically(file, content)
                return file
        raise MeasurementError(
            f"{name} of study '{self._paths.study}' is neither here nor, as it was measured, in "
            f"{self._url}; `--plan` makes it again, as the study's report says."
        )

    def absences(self, trials: Sequence[FrozenTrial]) -> dict[str, list[int]]:
        """Return the numbers of the trials whose files cannot be had here, by where they are.

        The keys are ends of sentences, behind "is" or "are".
        """
        found: dict[str, list[int]] = {}
        for trial in trials:
            artifact = self._here(trial)
            if not artifact.is_file() and self._digest(artifact.name, trial) is None:
                found.setdefault(self._absence(trial), []).append(trial.number)
        return found

    def _here(self, trial: FrozenTrial) -> Path:
        """Return where the trial's file is, or will be."""
        told = self._paths.root / trial.user_attrs["artifact"]
        return told if told.is_file() else self._paths.in_artifacts(told.name)

    def _digest(self, name: str, trial: FrozenTrial | None) -> str | None:
        """Return the SHA-256 of what was put into the store, None if it never was."""
        if self._url is None:
            return None
        of_trial = {} if trial is None else trial.user_attrs.get(SHARED, {})
        digest: str | None = of_trial.get(name) or self._late.get(f"{SHARED}:{name}")
        return digest

    def _absence(self, trial: FrozenTrial) -> str:
        artifact = self._here(trial)
        host = trial.user_attrs.get(WORKER, "").rpartition(":")[0]
        folder = trial.user_attrs.get(FOLDER)
        if host not in {"", socket.gethostname()}:
            place = f"on host {host}, in {folder or 'the studies folder there'}"
        elif folder is not None and Path(folder, artifact.name).is_file():
            place = f"in {folder}"
        else:
            return (
                f"gone from {artifact.parent}; the command that the report has for a trial makes "
                "its file again."
            )
        if self._url is None:
            return f"not here but {place}; `search.run --artifacts URL` there shares files."
        return f"not here but {place}; the study's command there puts files into {self._url}."
