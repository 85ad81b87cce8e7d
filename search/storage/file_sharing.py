"""Share the files of a study whose machines have no folder in common: through a store of all.

The study says which store it has, by its attribute `artifacts`. A trial's files go there before it
is told, as Optuna takes none of a finished one; `search.storage.file_finding` fetches them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from optuna import Study, Trial
from optuna.artifacts import upload_artifact

from objectives.artifact.container_file import ENDING
from objectives.files import sha256_of
from objectives.runtimes.base import Runtime
from search.storage.artifact_stores import SharedStore, store_of_study
from search.storage.linked_store import LinkedArtifactStore
from search.storage.paths import StudyPaths
from search.storage.trial_queries import TrialQueries
from search.storage.trials import made_trials

SHARED = "shared"
"""Trial attribute: SHA-256 of each of its files that is in the store, by name; of a file that was
put there later, or is the study's, the study attribute `shared:NAME`."""


class FileSharing:
    """Offers what this machine has made: for download here, and to other machines.

    Args:
        study: It is worked on.
        paths: Where its files are here.
        runtime: Whose forms they have.

    Raises:
        BadInputError: The study has a store, and what reaches it is not installed or set.
    """

    def __init__(self, study: Study, paths: StudyPaths, runtime: Runtime) -> None:
        self._study = study
        self._paths = paths
        self._suffix = runtime.suffix
        self.store = store_of_study(study)
        links = LinkedArtifactStore(paths.downloads)
        self._places = links if self.store is None else _Both(links, self.store)
        self._has_shared_baseline = False

    def keep(self, trial: Trial, artifact: Path, queries: TrialQueries) -> None:
        """Offer the files of `trial`, which must be running still.

        Args:
            trial: Whose they are.
            artifact: Its ONNX file; beside it lie the runtime's, and its container.
            queries: Of its study.

        Raises:
            AwayError: The store cannot be reached.
        """
        files = self._forms(artifact)
        for file in files:
            self._upload(file, trial)
        if self.store is not None:
            sums = {file.name: sha256_of(file) for file in files}
            queries.record(trial._trial_id, {SHARED: sums})
            if not self._has_shared_baseline:
                self._share_late(self._forms(self._paths.baseline))
                self._has_shared_baseline = True

    def share_finished(self) -> int:
        """Share what is here of trials that ended before the study had its store.

        Returns:
            How many trials these are.

        Raises:
            AwayError: The store cannot be reached.
        """
        if self.store is None:
            return 0
        count = 0
        for trial in made_trials(self._study):
            artifact = self._paths.root / trial.user_attrs["artifact"]
            if SHARED in trial.user_attrs or not artifact.is_file():
                continue
            if trial.user_attrs.get("artifact_sha256") == sha256_of(artifact):
                count += self._share_late(self._forms(artifact))
        return count

    def _share_late(self, files: Sequence[Path]) -> bool:
        """Share those of `files` that are not yet, as the study's; return whether any was not."""
        known = self._study.user_attrs
        missing = [file for file in files if f"{SHARED}:{file.name}" not in known]
        for file in missing:
            self._upload(file, self._study)
            self._study.set_user_attr(f"{SHARED}:{file.name}", sha256_of(file))
        return bool(missing)

    def _forms(self, artifact: Path) -> list[Path]:
        """Return the files that are there of one network: runtime's, ONNX, container."""
        suffixes = dict.fromkeys((self._suffix, ".onnx", ENDING))
        files = [artifact.with_suffix(suffix) for suffix in suffixes]
        return [file for file in files if file.is_file()]

    def _upload(self, file: Path, whose: Trial | Study) -> None:
        upload_artifact(
            artifact_store=self._places,
            file_path=str(file),
            study_or_trial=whose,
            mimetype="application/octet-stream",
        )


class _Both:
    """Writes to two artifact stores under the same name."""

    def __init__(self, first: LinkedArtifactStore, second: SharedStore) -> None:
        self._stores = first, second

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Keep what is read from `content_body` in both."""
        for store in self._stores:
            content_body.seek(0)
            store.write(artifact_id, content_body)

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open what the first has."""
        return self._stores[0].open_reader(artifact_id)

    def remove(self, artifact_id: str) -> None:
        """Delete it from both."""
        for store in self._stores:
            store.remove(artifact_id)
