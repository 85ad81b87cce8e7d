"""Committed files: containers of trials, which must decode to what their rows say."""

import csv
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from benchmarks.figures.rows import read
from models.data_source import DataOptions, DataSource
from models.resolve import resolve_data
from objectives.artifact.measure import measure_any
from objectives.artifact.sizes import gzip_bytes
from objectives.container.format import MAGIC, decode, encode
from objectives.errors import ContainerError
from objectives.score.accuracy import ACCURACY

LISTING = "files.csv"
"""In a study's folder: its files, their sizes and accuracies."""
TOLERATED_PCT = 0.1
"""Percentage points: other processors round otherwise."""


NAMES = (
    "file",
    "container_bytes",
    "no_dictionary_bytes",
    "huffman_bytes",
    "gzip_bytes",
    "raw_bytes",
    "val_accuracy_pct",
    "test_accuracy_pct",
    "data",
    "held_out",
)
"""The listing's columns. The container is coded arithmetically, once more without the dictionary
that coder and decoder share, and once more by Huffman codes alone. Accuracies are on `data`, MNIST
or an archive of images in the data root, of which the share `held_out` is for validation."""

MNIST = "mnist"
PAPER_SHARE = "0.3"
"""What listings without these columns mean."""


def keep_file(artifact: Path, folder: Path, root: Path, name: str, held_out: str) -> None:
    """Put the container of an ONNX file into `folder`, and what it measures into its listing.

    Args:
        artifact: The file; its container is called as it is.
        folder: Of committed results.
        root: Where data are.
        name: Of the data, see `NAMES`.
        held_out: Share of the training part that is for validation.
    """
    container = encode(artifact.read_bytes())
    listing = folder / LISTING
    file = f"{artifact.stem}.onc"
    (folder / file).write_bytes(container)
    rows = {row["file"]: row for row in (read(listing) if listing.is_file() else [])}
    measured = _measured(container, data_of(root, name, held_out))
    rows[file] = {
        "file": file,
        **{each: f"{value:.10g}" for each, value in measured.items()},
        "data": name,
        "held_out": held_out,
    }
    with listing.open("w", newline="") as out:
        writer = csv.DictWriter(out, NAMES, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[each] for each in sorted(rows))


def check_files(folder: Path, root: Path | None = None) -> list[str]:
    """Return what does not hold of the files that `folder` lists; run where data are at `root`."""
    listing = folder / LISTING
    faults = []
    for row in read(listing) if listing.is_file() else []:
        try:
            data = None if root is None else _data_of_row(row, root)
            found = _measured((folder / row["file"]).read_bytes(), data)
        except ContainerError as err:
            faults.append(f"{folder / row['file']}: {err}")
            continue
        faults += [f"{folder / row['file']}: {each}" for each in _differing(row, found)]
    return faults


def _measured(container: bytes, data: DataSource | None) -> dict[str, float]:
    content = decode(container)
    found: dict[str, float] = {
        "container_bytes": len(container),
        "huffman_bytes": len(encode(content, ("raw", "huffman"))),
        "gzip_bytes": gzip_bytes(content),
        "raw_bytes": len(content),
    }
    if container[: len(MAGIC)] != MAGIC:  # what wrote it before coded all else otherwise, too
        found["no_dictionary_bytes"] = len(encode(content, dictionary=b""))
    if data is not None:
        found |= _accuracies(content, data)
    return found


def _differing(row: Mapping[str, str], found: Mapping[str, float]) -> list[str]:
    return [
        f"{name} is {value:.6g}, not {row[name]}."
        for name, value in found.items()
        if abs(float(row[name]) - value) > (TOLERATED_PCT if name.endswith("_pct") else 0)
    ]


def _accuracies(content: bytes, data: DataSource) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "decoded.onnx"
        file.write_bytes(content)
        measured = measure_any(file, data, ACCURACY)
    return {
        "val_accuracy_pct": measured.val_score,
        "test_accuracy_pct": measured.test_score,
    }


def _data_of_row(row: Mapping[str, str], root: Path) -> DataSource:
    return data_of(root, row.get("data") or MNIST, row.get("held_out") or PAPER_SHARE)


@cache
def data_of(root: Path, name: str = MNIST, held_out: str = PAPER_SHARE) -> DataSource:
    """Return whole data, split as a study splits them."""
    known = name if name == MNIST else f"folder:{root / name}"
    data = resolve_data(known, DataOptions(root=root, held_out=float(held_out)))
    data.setup()
    return data
