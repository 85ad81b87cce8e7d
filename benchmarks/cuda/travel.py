"""A study in few small files, so that another machine goes on with it.

Its database is copied as it is. An entry of the stage cache is written as bfloat16 or, if that is
too large, its large tensors as integers of 8 bits with a scale per row (zeros stay zeros), and
compressed. What does not fit is left out, and trained again where it is missing. All of it is one
tar file, cut into parts that any transfer takes.
"""

import hashlib
import io
import json
import sqlite3
import tarfile
import zlib
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor

from objectives.files import write_atomically
from search.storage.paths import StudyPaths

PART_BYTES = 15_000_000
LARGE = 4096
"""Numbers; smaller tensors, and those of one axis, stay as they are."""
SCALE = "|scale"
FORMS = ("bfloat16", "int8")


def pack(
    paths: StudyPaths, digests: Iterable[str], out: Path, *, limit_bytes: int
) -> dict[str, str]:
    """Write a study and entries of its cache into `out`, those first that are named first.

    Returns:
        The form of each entry that fitted.
    """
    packed = paths.folder / "packed"
    forms: dict[str, str] = {}
    left = limit_bytes
    files = {paths.database.name: _database(paths.database)}
    for digest in digests:
        facts = paths.cache / f"{digest}.json"
        for form in FORMS:
            if not facts.is_file():
                break
            content = _entry(paths.cache / f"{digest}.safetensors", form, packed)
            if len(content) <= left:
                left -= len(content)
                forms[digest] = form
                files[f"{digest}.{form}"] = content
                files[facts.name] = facts.read_bytes()
                break
    _write_parts(_tar(files), out)
    return forms


def unpack(folder: Path, paths: StudyPaths) -> dict[str, str]:
    """Put what `pack` wrote into the studies folder; return the form of each entry."""
    parts = [part.read_bytes() for part in _parts(folder)]
    if not parts:
        raise FileNotFoundError(f"{folder} holds no study.tar.0: nothing to go on with.")
    paths.make()
    forms = {}
    with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as tar:
        files = {member.name: _content(tar, member) for member in tar if member.isfile()}
    for name, content in files.items():
        digest, _, form = name.rpartition(".")
        if form in FORMS:
            facts = json.loads(files[f"{digest}.json"])
            restored = save(_restored(load(zlib.decompress(content))))
            facts |= {"sha256": hashlib.sha256(restored).hexdigest(), "travelled_as": form}
            write_atomically(paths.cache / f"{digest}.safetensors", restored)
            write_atomically(paths.cache / f"{digest}.json", json.dumps(facts).encode())
            forms[digest] = form
        elif name == paths.database.name:
            write_atomically(paths.database, content)
    return forms


def _database(file: Path) -> bytes:
    """Return a copy of a database that may be open."""
    with closing(sqlite3.connect(file)) as here, closing(sqlite3.connect(":memory:")) as copied:
        here.backup(copied)
        return copied.serialize()


def _entry(file: Path, form: str, packed: Path) -> bytes:
    """Return an entry in a form, made once."""
    made = packed / f"{file.stem}.{form}"
    if not made.is_file():
        content = save(_reduced(load(file.read_bytes()), form))
        write_atomically(made, zlib.compress(content, 1))
    return made.read_bytes()


def _tar(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, held in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(held)
            tar.addfile(member, io.BytesIO(held))
    return content.getvalue()


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    held = tar.extractfile(member)
    assert held is not None
    return held.read()


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("study.tar.*"), key=lambda part: int(part.suffix[1:]))


def _write_parts(content: bytes, out: Path) -> None:
    starts = range(0, len(content), PART_BYTES)
    for index, start in enumerate(starts):
        write_atomically(out / f"study.tar.{index}", content[start : start + PART_BYTES])
    for part in _parts(out)[len(starts) :]:
        part.unlink()


def _reduced(tensors: dict[str, Tensor], form: str) -> dict[str, Tensor]:
    reduced = {}
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32 or tensor.dim() < 2 or tensor.numel() < LARGE:
            reduced[name] = tensor
        elif form == "bfloat16":
            reduced[name] = tensor.to(torch.bfloat16)
        else:
            rows = tensor.flatten(1)
            scale = rows.abs().amax(1).clamp(min=1e-30) / 127
            reduced[name] = (rows / scale[:, None]).round().to(torch.int8).view(tensor.shape)
            reduced[name + SCALE] = scale
    return reduced


def _restored(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    restored = {}
    for name, tensor in tensors.items():
        scale = tensors.get(name + SCALE)
        if scale is not None:
            rows = tensor.flatten(1).to(torch.float32) * scale[:, None]
            restored[name] = rows.view(tensor.shape)
        elif not name.endswith(SCALE):
            is_short = tensor.dtype == torch.bfloat16
            restored[name] = tensor.to(torch.float32) if is_short else tensor
    return restored
