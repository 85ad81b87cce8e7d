"""Downloads: what a dashboard has of the files of all studies of a database.

Optuna's artifact store, the folder `artifact-store` beside the databases, holds hard links to the
files in the studies' folders, so that they take no room of their own.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import optuna
from bottle import HTTPError
from optuna.artifacts import get_all_artifact_meta
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from models.errors import BadInputError
from objectives.errors import AwayError, MeasurementError
from search.storage.file_finding import FileFinder
from search.storage.linked_store import LinkedArtifactStore
from search.storage.paths import StudyPaths


class Downloads(LinkedArtifactStore):
    """The files that are here; one that another machine has made is fetched when it is asked for.

    Args:
        root: The studies folder.
        storage: The database whose studies are shown.
    """

    def __init__(self, root: Path, storage: BaseStorage) -> None:
        super().__init__(StudyPaths(root, "all").downloads)
        self._root = root
        self._storage = storage

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open a file.

        Raises:
            HTTPError: It is nowhere, or the store that has it cannot be reached; the text, which
                the browser shows, says so.
        """
        with suppress(ArtifactNotFound):
            return super().open_reader(artifact_id)
        try:
            with self._fetched(artifact_id).open("rb") as file:
                self.write(artifact_id, file)
        except (MeasurementError, ArtifactNotFound) as err:
            raise HTTPError(404, str(err)) from err
        except (AwayError, BadInputError) as err:
            raise HTTPError(503, str(err)) from err
        return super().open_reader(artifact_id)

    def _fetched(self, artifact_id: str) -> Path:
        for study, trial in self._owners():
            if trial and not any(name.endswith(artifact_id) for name in trial.system_attrs):
                continue
            for meta in get_all_artifact_meta(trial or study, storage=self._storage):
                if meta.artifact_id == artifact_id:
                    paths = StudyPaths(self._root, study.study_name)
                    here = paths.in_artifacts(meta.filename)
                    if here.is_file():
                        return here
                    return FileFinder(study, paths).fetch(here.name, trial)
        raise ArtifactNotFound(f"No study has a file {artifact_id}.")

    def _owners(self) -> Iterator[tuple[optuna.Study, FrozenTrial | None]]:
        for name in optuna.get_all_study_names(self._storage):
            study = optuna.load_study(study_name=name, storage=self._storage)
            yield study, None
            for trial in study.get_trials(deepcopy=False):
                yield study, trial
