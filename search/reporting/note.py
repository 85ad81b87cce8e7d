"""The study's note in optuna-dashboard: its report, unless the user has written one."""

import hashlib
import re

from optuna import Study
from optuna_dashboard import get_note, save_note

WRITTEN = "report_note"
"""Study attribute: SHA-256 of the note that a report has left; notes of before had no seal."""
SEAL = re.compile(r"\n\[//\]: # \(report ([0-9a-f]{64})\)\n\Z")
"""The last line of a note of ours, which no reader sees: the SHA-256 of what stands above it.

It is part of the note, so that several machines may write one at the same time.
"""


def keep_note(study: Study, text: str) -> bool:
    """Make `text` the study's note; return False, and leave it, where it is somebody's own."""
    now = get_note(study)
    is_ours = not now or _is_sealed(now) or _is_of_before(study, now)
    if is_ours:
        sealed = f"{text}\n[//]: # (report {_hash(text)})\n"
        save_note(study, sealed)
        study.set_user_attr(WRITTEN, _hash(sealed))
    return is_ours


def _is_sealed(note: str) -> bool:
    seal = SEAL.search(note)
    return seal is not None and _hash(note[: seal.start()]) == seal.group(1)


def _is_of_before(study: Study, note: str) -> bool:
    written = study.user_attrs.get(WRITTEN)
    if written is None:
        return note.startswith(f"# Study {study.study_name}\n")
    return _hash(note) == str(written)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
