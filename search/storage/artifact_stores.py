"""Stores of files that several machines reach, by URL: Optuna's own backends behind `--artifacts`.

s3://BUCKET/PREFIX by boto3, gs://BUCKET/PREFIX by google-cloud-storage, file:///FOLDER of a file
system that all mount. No URL holds credentials: the packages find them as they do elsewhere.
"""

import logging
import re
import secrets
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote, urlsplit

from optuna import Study
from optuna.artifacts import Backoff, Boto3ArtifactStore, GCSArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.exceptions import ExperimentalWarning

from models.errors import BadInputError, first_line
from objectives.errors import AwayError, DiskFullError
from search.storage.linked_store import LinkedArtifactStore
from search.storage.paths import FILES

if TYPE_CHECKING:
    from optuna.artifacts._protocol import ArtifactStore

ARTIFACTS = "artifacts"
"""Study attribute: URL of the store that its files go to."""

KINDS = "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or file:///FOLDER"
PACKAGES = {"s3": "boto3", "gs": "google-cloud-storage"}
"""What a kind needs, which is the extra of that name."""
CREDENTIALS = {
    "s3": "boto3 takes credentials, region and endpoint from AWS_ACCESS_KEY_ID, "
    "AWS_SECRET_ACCESS_KEY, AWS_DEFAULT_REGION and AWS_ENDPOINT_URL, or from ~/.aws.",
    "gs": "Credentials are those of `gcloud auth application-default login`.",
    "file": "",
}
CONNECT_SECONDS, ATTEMPTS = 10, 3
"""Of boto3, for one request; around it Optuna's Backoff tries ten times within a minute."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,221}")


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """Where a store is."""

    kind: str
    """s3, gs or file."""
    bucket: str
    """"" of a file system."""
    prefix: str
    """What names of objects begin with, without a slash at its ends; of a file system the folder,
    an absolute path."""

    @classmethod
    def parse(cls, text: str) -> "StoreUrl":
        """Return what `text` says.

        Raises:
            BadInputError: It is no such URL, or holds a password.
        """
        law = f"`--artifacts is {KINDS}` must hold, but got {text!r}"
        try:
            parts = urlsplit(text)
        except ValueError as err:
            raise BadInputError(f"{law}.") from err
        if "@" in parts.netloc:
            told = [
                "`--artifacts` takes no credentials in its URL.",
                CREDENTIALS.get(parts.scheme),
            ]
            raise BadInputError(" ".join(filter(None, told)))
        if parts.scheme not in CREDENTIALS or parts.query or parts.fragment:
            raise BadInputError(f"{law}.")
        if parts.scheme == "file":
            is_absolute = Path(unquote(parts.path)).is_absolute() and "://" in text
            if parts.netloc not in {"", "localhost"} or not is_absolute:
                raise BadInputError(f"{law}: the folder is an absolute path, after three slashes.")
            return cls("file", "", Path(unquote(parts.path)).as_posix())
        if not _BUCKET.fullmatch(parts.netloc):
            raise BadInputError(f"{law}: {parts.netloc!r} names no bucket.")
        return cls(parts.scheme, parts.netloc, parts.path.strip("/"))

    def __str__(self) -> str:
        if self.kind == "file":
            return Path(self.prefix).as_uri()
        return f"{self.kind}://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")


class SharedStore:
    """What a store has of one study; its failures are one line. An artifact store as Optuna's are.

    Args:
        url: Where the store is; a folder must be there.
        study: Name of the study, whose files have names of their own in it.

    Raises:
        BadInputError: What it needs is not installed or set, or the folder is not there.
    """

    def __init__(self, url: StoreUrl, study: str) -> None:
        self.url = url
        self._study = study
        with self._told("cannot be used", BadInputError):
            self._once = _backend(url)
        _in_one_line()
        is_folder = isinstance(self._once, LinkedArtifactStore)
        self._patient = self._once if is_folder else Backoff(self._once)  # tries for a minute

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open what is kept under `artifact_id`.

        Raises:
            ArtifactNotFound: There is none.
            AwayError: The store cannot be reached.
        """
        with self._told("cannot be read from", AwayError):
            return self._patient.open_reader(self._key(artifact_id))

    def read(self, artifact_id: str) -> bytes:
        """Return what is kept under `artifact_id`.

        Raises:
            ArtifactNotFound: There is none.
            AwayError: The store cannot be reached.
        """
        with self._told("cannot be read from", AwayError), self.open_reader(artifact_id) as file:
            return file.read()

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Keep what is read from `content_body` under `artifact_id`.

        Raises:
            AwayError: The store cannot be reached.
            DiskFullError: It is a folder, and full.
        """
        with self._told("cannot be written to", AwayError):
            self._patient.write(self._key(artifact_id), content_body)

    def remove(self, artifact_id: str) -> None:
        """Delete what is kept under `artifact_id`.

        Raises:
            AwayError: The store cannot be reached.
        """
        with self._told("cannot be written to", AwayError):
            self._once.remove(self._key(artifact_id))

    def probe(self) -> None:
        """Write a small object, read it and delete it.

        Raises:
            BadInputError: The store cannot be reached, or does not do that for us.
        """
        key, content = self._key(f"probe-{secrets.token_hex(8)}"), b"compression-search"
        with self._told("cannot be used", BadInputError):
            self._once.write(key, BytesIO(content))
            with self._once.open_reader(key) as file:
                kept = file.read()
            self._once.remove(key)
            if kept != content:
                raise ValueError("it gives other bytes back than were written")

    def _key(self, artifact_id: str) -> str:
        prefix = self.url.prefix if self.url.bucket else ""  # else the folder of the store
        return f"{prefix}/{self._study}/{artifact_id}".lstrip("/")

    @contextmanager
    def _told(self, what: str, kind: type[Exception]) -> Iterator[None]:
        """Turn whatever a backend raises in the block into one line that helps."""
        try:
            yield
        except (ArtifactNotFound, AwayError, BadInputError, DiskFullError):
            raise
        except Exception as err:
            reason = first_line(err).rstrip(".") or type(err).__name__
            told = [f"`--artifacts {self.url}` {what}: {reason}.", CREDENTIALS[self.url.kind]]
            if kind is AwayError:
                told.append("Nothing that was finished is lost.")
            raise kind(" ".join(filter(None, told))) from err


def url_of_study(study: Study) -> StoreUrl | None:
    """Return where the files of `study` are for all machines, None if nowhere."""
    text = study.user_attrs.get(ARTIFACTS)
    return None if text is None else StoreUrl.parse(text)


def store_of_study(study: Study) -> SharedStore | None:
    """Return the store of `study`, None if it has none.

    Raises:
        BadInputError: What reaches it is not installed or set.
    """
    url = url_of_study(study)
    return None if url is None else SharedStore(url, study.user_attrs.get(FILES, study.study_name))


def _backend(url: StoreUrl) -> "ArtifactStore":
    if url.kind == "file":
        folder = Path(url.prefix)
        if not folder.is_dir():
            raise BadInputError(
                f"`--artifacts {url}`: there is no such folder; make it, or mount it."
            )
        return LinkedArtifactStore(folder)
    try:
        if url.kind == "gs":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                return GCSArtifactStore(url.bucket)
        import boto3
        from botocore.config import Config
    except ImportError as err:
        raise BadInputError(
            f"`--artifacts {url.kind}://` needs {PACKAGES[url.kind]}: "
            f"`pip install 'compression-search[{url.kind}]'`."
        ) from err
    retries = {"mode": "standard", "total_max_attempts": ATTEMPTS}
    config = Config(connect_timeout=CONNECT_SECONDS, retries=retries)
    return Boto3ArtifactStore(url.bucket, boto3.client("s3", config=config))


def _in_one_line() -> None:
    """Let Backoff say in one line what it tries again, and not as an error: it may get through."""

    def shorten(record: logging.LogRecord) -> bool:
        err = record.exc_info and record.exc_info[1]
        if err:
            record.msg, record.args = f"{record.getMessage()}: {first_line(err)}", ()
            record.exc_info = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True

    logger = logging.getLogger("optuna.artifacts._backoff")
    if not logger.filters:
        logger.addFilter(shorten)
