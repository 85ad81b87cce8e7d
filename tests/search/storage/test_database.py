import inspect
import os
import re
import sqlite3
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.storages._cached_storage import _CachedStorage

from models.errors import BadInputError
from objectives.errors import DiskFullError
from search.sampling.method import SearchMethod
from search.settings.given import Given
from search.storage.database import arguments_without_password, full_disk_is_told, open_storage
from search.storage.paths import StudyPaths
from search.storage.reconnecting import ReconnectingStorage
from search.workers.task import Task


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense", "The storage URL 'nonsense' is none of SQLAlchemy's"),
        ("foo://host/x", "does not open: Can't load plugin"),
        ("sqlite://", "names no file: a study must outlast its process"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:////no/such/folder/x.db", "does not open: unable to open database file"),
    ],
)
def test_a_storage_that_does_not_open_is_one_line(url: str, reason: str) -> None:
    with pytest.raises(BadInputError) as caught:
        open_storage(url)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_password_is_not_shown() -> None:
    with pytest.raises(BadInputError) as caught:
        open_storage("postgresql://me:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)
    assert "me:***@" in str(caught.value)


@pytest.mark.parametrize("form", [["--storage", "{}"], ["--storage={}"]])
def test_the_command_that_is_shown_has_no_password(form: list[str]) -> None:
    url = "postgresql://me:secret@host/x"
    arguments = ["--model", "cnn", *(part.format(url) for part in form), "--seed", "1"]
    shown = arguments_without_password(arguments)
    expected = [part.format("postgresql://me:***@host/x") for part in form]
    assert shown == ["--model", "cnn", *expected, "--seed", "1"]


def test_a_task_does_not_show_its_storage(tmp_path: Path) -> None:
    task = Task.of(
        Given(model="cnn"),
        {},
        "",
        accelerator="cpu",
        data_root=tmp_path,
        method=SearchMethod(),
        paths=StudyPaths(tmp_path, "s"),
        storage="postgresql://me:secret@h/x",
        heartbeat_seconds=5,
        cache_bytes=1,
    )
    assert "secret" not in repr(task)


def test_a_url_that_is_none_shows_no_password() -> None:
    with pytest.raises(BadInputError) as caught:
        open_storage("me:secret@host/x")
    assert "secret" not in str(caught.value)


@pytest.mark.faults
@pytest.mark.parametrize("damage", ["no database", "cut", "overwritten"])
def test_a_corrupt_database_is_one_line(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "x.db"
    open_storage(f"sqlite:///{file}").engine.dispose()
    content = file.read_bytes()
    damaged = {
        "no database": b"hello " * 1000,
        "cut": content[: len(content) // 2],
        "overwritten": content[:8192] + b"\xff" * 8192 + content[16384:],
    }
    file.write_bytes(damaged[damage])
    with pytest.raises(BadInputError, match=r"x\.db does not open: ") as caught:
        open_storage(f"sqlite:///{file}")
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir(mode=0o500)
    was_root = os.geteuid() == 0
    if was_root:  # nothing is read-only for root
        tmp_path.chmod(0o755)
        os.chown(blocked, 65534, 65534)
        os.seteuid(65534)
    try:
        with pytest.raises(BadInputError, match="cannot be written to: Permission denied"):
            StudyPaths(blocked, "toy").make()
    finally:
        if was_root:
            os.seteuid(0)


def test_a_file_in_the_place_of_the_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "studies").write_text("")
    with pytest.raises(BadInputError, match="cannot be written to: Not a directory"):
        StudyPaths(tmp_path / "studies", "toy").make()


@pytest.mark.faults
def test_a_database_that_finds_no_room_is_a_full_disk(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path / 's.db'}")
    study = optuna.create_study(storage=storage)

    @sqlalchemy.event.listens_for(storage.engine, "connect")
    def leave_no_room(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # no more than there are

    storage.engine.dispose()
    with pytest.raises(DiskFullError, match="for the study's database"), full_disk_is_told():
        study.set_user_attr("large", "x" * 100_000)
    with pytest.raises(sqlalchemy.exc.OperationalError), full_disk_is_told():
        storage.engine.connect().exec_driver_sql("SELECT * FROM nowhere")


def test_whatever_optunas_cache_asks_of_the_database_waits_for_one_that_is_away() -> None:
    asked = set(re.findall(r"self\._backend\.(\w+)", inspect.getsource(_CachedStorage)))
    no_query = {"get_heartbeat_interval", "get_heartbeat_stale_trial_callback"}
    reconnecting = {name for name in asked if name in vars(ReconnectingStorage)}
    assert asked - reconnecting == no_query
    assert len(reconnecting) > 15
