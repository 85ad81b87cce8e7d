"""Find a study by its name, also where optuna-dashboard has given it another one.

Renaming there makes another study of the new name, with copies of all trials and attributes, and
deletes the old one. Its files keep the name that they have; the study says which in an attribute.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from optuna import Study
from optuna.storages import RDBStorage

from models.errors import BadInputError
from search.storage.database import open_for_reading
from search.storage.paths import FILES, StudyPaths, files_name
from search.storage.study import load_study

NAMES = """
SELECT study_name, value_json FROM studies LEFT JOIN study_user_attributes AS a
ON a.study_id = studies.study_id AND a.key = 'config'
"""


def located(root: Path, name: str, storage: str | None = None) -> StudyPaths:
    """Return the paths of the study that is called `name`, or was; of a new one if none is.

    Args:
        root: The studies folder.
        name: What a user calls it.
        storage: URL of a database that may hold several; if None each study has its own.

    Raises:
        BadInputError: There is none, and a new one cannot be called so.
    """
    if storage is not None:
        with suppress(BadInputError):  # what opens it says so
            names = _names_in(open_for_reading(storage))
            for study, files in names.items():
                if study == name:
                    return StudyPaths(root, study, files or files_name(study))
            for study, files in names.items():
                if files is not None and files == files_name(name):
                    return StudyPaths(root, study, files)
        return StudyPaths(root, name)
    with suppress(BadInputError):
        paths = StudyPaths(root, name)
        if paths.database.is_file():
            ours = list(_ours(paths.database))
            return replace(paths, study=ours[0]) if len(ours) == 1 else paths
    for database in sorted(root.glob("*.db")):
        if name in _ours(database):
            return StudyPaths(root, name, database.stem)
    return StudyPaths(root, name)


def load_located(root: Path, name: str, storage: str | None = None) -> tuple[Study, StudyPaths]:
    """Open a study for reading that is called `name`, or was; return it and where its files are.

    Raises:
        BadInputError: There is none, or its database does not open.
    """
    paths = located(root, name, storage)
    return load_study(paths.study, storage or paths.url), paths


def _names_in(storage: RDBStorage) -> dict[str, str | None]:
    return {
        study.study_name: study.user_attrs.get(FILES)
        for study in storage.get_all_studies()
        if "config" in study.user_attrs
    }


def _ours(database: Path) -> Iterator[str]:
    """Yield the names of the studies of ours that a SQLite file holds; none if it is no such."""
    url = f"{database.absolute().as_uri()}?mode=ro"
    with suppress(sqlite3.Error), closing(sqlite3.connect(url, uri=True)) as connection:
        yield from (name for name, config in connection.execute(NAMES) if config is not None)
