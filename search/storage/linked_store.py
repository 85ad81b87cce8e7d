"""An artifact store of Optuna's whose files are links to those of the same file system."""

import os
from pathlib import Path
from typing import BinaryIO

from optuna.artifacts import FileSystemArtifactStore

from objectives.files import write_atomically


class LinkedArtifactStore(FileSystemArtifactStore):
    """An artifact store that holds links to files of the same file system, else whole copies."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder = folder

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Keep what is read from `content_body` under `artifact_id`; of an open file a link."""
        place = self._folder / artifact_id
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(content_body.name, place)
        except (AttributeError, OSError):  # no file; another file system, or one without links
            write_atomically(place, content_body.read())
