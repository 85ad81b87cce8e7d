"""Downloads: each trial's files in Optuna's artifact store, where a dashboard finds them.

The store is the folder `artifact-store` beside the databases. A file in it is a hard link to the
one in the study's folder, so that it takes no room of its own; a copy where there are no links.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from optuna import Trial
from optuna.artifacts import FileSystemArtifactStore, upload_artifact

from objectives.files import write_atomically
from search.storage.paths import StudyPaths


class LinkedArtifactStore(FileSystemArtifactStore):
    """An artifact store that holds links to files of the same file system."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder = folder

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Keep what is read from `content_body`, an open file, under `artifact_id`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            os.link(content_body.name, self._folder / artifact_id)
        except OSError:  # another file system, or one without links
            write_atomically(self._folder / artifact_id, content_body.read())


def store_of(paths: StudyPaths) -> LinkedArtifactStore:
    """Return the store of all studies in the folder of `paths`."""
    return LinkedArtifactStore(paths.downloads)


def offer(trial: Trial, files: Sequence[Path], paths: StudyPaths) -> None:
    """Put `files` into the store as those of `trial`, which must be running still."""
    for file in files:
        upload_artifact(
            artifact_store=store_of(paths),
            file_path=str(file),
            study_or_trial=trial,
            mimetype="application/octet-stream",
        )
