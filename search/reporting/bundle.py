"""A folder to take away: a trial's file, its weights, its card and their checksums."""

import logging
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import onnx
from safetensors.torch import save

from models.errors import BadInputError
from objectives.artifact.container_file import write_container
from objectives.artifact.forms import FORMS
from objectives.artifact.measure import FileMeasurement, Measurement, measure_any, measure_file
from objectives.artifact.restore import restore_weights
from objectives.errors import MeasurementError
from objectives.files import sha256_of, write_atomically
from objectives.runtimes import OF_ENDING
from search.reporting.card import CONTAINER, ONNX, WEIGHTS, CardFacts, model_card
from search.results.row import Row
from search.results.table import StudyTable
from search.settings.setup import StudySetup
from search.settings.vocabulary import CODERS

log = logging.getLogger(__name__)

CARD, CHECKSUMS = "MODEL_CARD.md", "SHA256SUMS"

TOLERATED_PCT = 0.1
"""Points, or percent, by which a score may differ: other processors round otherwise."""


def write_bundle(
    artifact: Path,
    row: Row,
    table: StudyTable,
    setup: StudySetup,
    out: Path,
    *,
    container: bool,
    form: str = "onnx",
) -> Measurement:
    """Measure `artifact` again and write the folder `out`, whole or not at all.

    The weights for PyTorch are left out, with a warning, where the exporter merged one of them
    into another.

    Args:
        artifact: The file of the trial.
        row: The trial.
        table: Of its study.
        setup: What the study worked on.
        out: A folder that is new or empty.
        container: Whether the container goes with it.
        form: One of `FORMS`: in what the network goes with it, too.

    Raises:
        BadInputError: `out` holds something, or cannot be written to; or what writes such a form
            is not installed.
        MeasurementError: The file is not what the study measured, or the form has no such
            operator.
    """
    with _new_folder(out) as folder:
        stored = row.attribute("artifact_sha256")
        if stored not in {None, sha256_of(artifact)}:  # None in studies from before it was stored
            raise MeasurementError(
                f"{artifact} has changed since trial {row.trial.number} measured it; "
                "`--plan` makes it again, as the study's report says."
            )
        measured = _measure_again(artifact, row, setup)
        file = folder / ONNX
        write_atomically(file, artifact.with_suffix(".onnx").read_bytes())
        files, others = [file], dict[str, FileMeasurement]()
        if artifact.suffix != file.suffix:
            shipped = folder / f"model{artifact.suffix}"
            write_atomically(shipped, artifact.read_bytes())
            files.append(shipped)
        if container:
            written = write_container(file, setup.config.coders or CODERS)
            assert written is not None
            measured = replace(measured, container_bytes=written.size_bytes)
            files.append(folder / CONTAINER)
        for each in FORMS[form](file, setup.data):
            if each not in files:
                files.append(each)
                if each.suffix in OF_ENDING:
                    others[each.name] = measure_any(each, setup.data, setup.score)
        try:
            weights = restore_weights(onnx.load(file), setup.context())
        except MeasurementError as err:
            log.warning("%s is left out. %s", WEIGHTS, err)
        else:
            write_atomically(folder / WEIGHTS, save(weights))
            files.append(folder / WEIGHTS)
        facts = CardFacts(table=table, row=row, setup=setup, measured=measured, others=others)
        write_atomically(folder / CARD, model_card(facts, files).encode())
        files.append(folder / CARD)
        sums = [f"{sha256_of(each)}  {each.relative_to(folder).as_posix()}\n" for each in files]
        write_atomically(folder / CHECKSUMS, "".join(sums).encode())
    return measured


def _measure_again(artifact: Path, row: Row, setup: StudySetup) -> Measurement:
    """Return what the file is now, which must be what the trial stored."""
    measured = measure_file(
        artifact,
        setup.data,
        setup.score,
        setup.config.runs_on,
        with_ram=row.attribute("ram_bytes") is not None,
    )
    scored = row.scored

    def tolerated(value: float) -> float:
        return TOLERATED_PCT if scored.is_share else TOLERATED_PCT / 100 * abs(value)

    stored_scores = {f"{part}_score": scored.value(part) for part in ("val", "test")}
    stored_facts = {"artifact_raw_bytes": row.attribute("artifact_raw_bytes")} | stored_scores
    for name, stored in stored_facts.items():
        now = getattr(measured, name)
        if abs(now - stored) > (tolerated(stored) if name in stored_scores else 0):
            raise MeasurementError(
                f"{artifact} is not what trial {row.trial.number} measured: "
                f"{name} {stored:.6g}, now {now:.6g}."
            )
    return measured


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Give a folder that becomes `out` at the end of the block, and vanishes if that fails."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise BadInputError(f"`--out {out}` must be a folder that is new or empty.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
        folder.mkdir()
    except OSError as err:
        raise BadInputError(f"`--out {out}` cannot be written to: {err.strerror}.") from err
    try:
        yield folder
        folder.rename(out)
    except BaseException:
        shutil.rmtree(folder)
        raise
