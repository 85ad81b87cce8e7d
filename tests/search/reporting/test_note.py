"""The study's note: kept up to date by reports, and never taken from a user."""

import optuna
from optuna_dashboard import get_note, save_note

from search.reporting.note import keep_note


def test_reports_of_two_machines_never_take_each_others_for_a_users() -> None:
    study = optuna.create_study(study_name="s")
    assert keep_note(study, "one")
    stale = dict(study.user_attrs)
    assert keep_note(study, "two")
    study.set_user_attr("report_note", stale["report_note"])  # the first one is slower here
    assert keep_note(study, "three")
    assert get_note(study).startswith("three\n")


def test_what_a_user_has_changed_stays() -> None:
    for change in (
        lambda note: note + "mine",
        lambda note: "mine\n" + note,
        lambda note: note.replace("one", "mine"),
        lambda _: "# Study s\nmine",
    ):
        study = optuna.create_study(study_name="s")
        assert keep_note(study, "# Study s\none\n")
        save_note(study, change(get_note(study)))
        assert not keep_note(study, "two")
        assert "mine" in get_note(study)
        save_note(study, "")
        assert keep_note(study, "two")
