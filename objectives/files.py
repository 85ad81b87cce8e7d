"""Files that are there whole or not at all."""

import errno
import hashlib
import os
import secrets
from pathlib import Path

from objectives.errors import DiskFullError


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of the file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` by way of a temporary file beside it; make missing folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # less the umask
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as err:
        temporary.unlink(missing_ok=True)
        if isinstance(err, OSError) and err.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFullError(f"No space is left for {path} ({len(content):,} bytes).") from err
        raise
