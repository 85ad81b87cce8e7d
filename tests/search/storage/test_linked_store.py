import io
from pathlib import Path

import pytest
from optuna.artifacts.exceptions import ArtifactNotFound

from search.storage.linked_store import LinkedArtifactStore


def test_a_file_takes_no_room_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    store = LinkedArtifactStore(tmp_path / "store")
    with file.open("rb") as opened:
        store.write("study/id", opened)
    assert (tmp_path / "store" / "study" / "id").samefile(file)
    with store.open_reader("study/id") as reader:
        assert reader.read() == b"content"


def test_what_is_no_file_is_kept_too(tmp_path: Path) -> None:  # as a dashboard's uploads are none
    store = LinkedArtifactStore(tmp_path)
    store.write("id", io.BytesIO(b"content"))
    with store.open_reader("id") as reader:
        assert reader.read() == b"content"
    store.remove("id")
    with pytest.raises(ArtifactNotFound):
        store.open_reader("id")
