"""The study's note in optuna-dashboard: its report, unless the user has written one."""

import hashlib

from optuna import Study
from optuna_dashboard import get_note, save_note

WRITTEN = "report_note"
"""Study attribute: SHA-256 of the note that a report has left."""


def keep_note(study: Study, text: str) -> bool:
    """Make `text` the study's note; return False, and leave it, where it is somebody's own."""
    now, written = get_note(study), study.user_attrs.get(WRITTEN)
    if written is None:  # as in studies of before
        is_ours = not now or now.startswith(f"# Study {study.study_name}\n")
    else:
        is_ours = not now or _hash(now) == written
    if is_ours:
        save_note(study, text)
        study.set_user_attr(WRITTEN, _hash(text))
    return is_ours


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
