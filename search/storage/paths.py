"""Where a study's files lie under the studies folder; others rely on these names."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy

from models.errors import BadInputError

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
LONGEST_NAME = 100


FILES = "files"
"""Study attribute: what its files are called, whatever name it has now."""


def files_name(study: str) -> str:
    """Return what the files of a study are called.

    That is its name, or one like it where that has signs which not every file name takes.
    """
    if _FILE_NAME.fullmatch(study):
        return study
    digest = hashlib.sha256(study.encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', study)}-{digest}"


@dataclass(frozen=True, slots=True)
class StudyPaths:
    """The files of one study."""

    root: Path
    """The studies folder, shared by all studies; the cache lies in it."""
    study: str
    """Name of the study."""
    files: str = ""
    """Part of file names; "" is as `files_name` says. A study that was renamed keeps it."""

    def __post_init__(self) -> None:
        if self.files:
            return
        name = self.study
        good = 0 < len(name) <= LONGEST_NAME and name.isprintable() and name[0].isalnum()
        if not good or set(name) & set("/\\"):
            raise BadInputError(
                f"A study name must be up to {LONGEST_NAME} printable signs without '/', and "
                f"begin with a letter or digit, but got {name!r}."
            )
        object.__setattr__(self, "files", files_name(name))

    @property
    def database(self) -> Path:
        """The SQLite database."""
        return self.root / f"{self.files}.db"

    @property
    def url(self) -> str:
        """The URL of that database, which hides no sign of its path."""
        url = sqlalchemy.URL.create("sqlite", database=str(self.database))
        return url.render_as_string(hide_password=False)

    @property
    def folder(self) -> Path:
        """The study's own folder."""
        return self.root / self.files

    @property
    def cache(self) -> Path:
        """The stage cache of all studies."""
        return self.root / "cache"

    @property
    def downloads(self) -> Path:
        """What a dashboard offers of all studies; see `search.storage.downloads`."""
        return self.root / "artifact-store"

    @property
    def lock(self) -> Path:
        """Held while the study is created or its queue is mended."""
        return self.folder / ".lock"

    @property
    def first_weights(self) -> Path:
        """What the network of a module began with; see `search.api`."""
        return self.folder / "first-weights.safetensors"

    @property
    def baseline(self) -> Path:
        """The uncompressed artifact."""
        return self.in_artifacts("baseline.onnx")

    def artifact(self, trial_number: int) -> Path:
        """The artifact of one trial."""
        return self.in_artifacts(f"trial-{trial_number:04d}.onnx")

    def in_artifacts(self, name: str) -> Path:
        """The file of that name beside the study's artifacts, whatever folder `name` says."""
        return self.folder / "artifacts" / Path(name).name

    def report(self, ending: str) -> Path:
        """The report as html, md or csv."""
        return self.folder / f"report.{ending}"

    def make(self) -> None:
        """Make the study's folder, and see that files can be written into it.

        Raises:
            BadInputError: They cannot.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.lock.touch()
        except OSError as err:
            raise BadInputError(
                f"The studies folder {self.root} cannot be written to: {err.strerror}."
            ) from err
