"""Committed files: containers of trials, which must decode to what their rows say."""

import csv
import tempfile
from collections.abc import Mapping
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
)
"""The listing's columns. The container is coded arithmetically, once more without the dictionary
that coder and decoder share, and once more by Huffman codes alone."""


def keep_file(artifact: Path, folder: Path, data: DataSource) -> None:
    """Put the container of an ONNX file into `folder`, and what it measures into its listing."""
    container = encode(artifact.read_bytes())
    listing = folder / LISTING
    name = f"{artifact.stem}.onc"
    (folder / name).write_bytes(container)
    rows = {row["file"]: row for row in (read(listing) if listing.is_file() else [])}
    measured = _measured(container, data)
    rows[name] = {"file": name, **{each: f"{value:.10g}" for each, value in measured.items()}}
    with listing.open("w", newline="") as out:
        writer = csv.DictWriter(out, NAMES, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[each] for each in sorted(rows))


def check_files(folder: Path, data: DataSource | None = None) -> list[str]:
    """Return what does not hold of the files that `folder` lists; run on `data` if it is there."""
    listing = folder / LISTING
    faults = []
    for row in read(listing) if listing.is_file() else []:
        try:
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


def mnist(root: Path) -> DataSource:
    """Return the whole of MNIST, split as a study with seed 0 splits it."""
    data = resolve_data("mnist", DataOptions(root=root))
    data.setup()
    return data
