from dataclasses import replace
from pathlib import Path

import pytest

from objectives.artifact import container_file
from objectives.artifact.container_file import coder_of, write_container
from objectives.container.coders import coders
from objectives.errors import MeasurementError


def test_a_container_that_does_not_give_the_file_back_fails_the_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = tmp_path / "a.onnx"
    artifact.write_bytes(b"not ONNX, but bytes" * 50)
    written = write_container(artifact, ["huffman"])
    assert written == ("huffman", len((tmp_path / "a.onc").read_bytes()))
    assert written.size_bytes < 100
    monkeypatch.setattr(container_file, "decode", lambda _: b"other bytes")
    with pytest.raises(MeasurementError, match=r"a\.onc does not give a\.onnx back"):
        write_container(artifact, ["huffman"])


def test_a_large_file_gets_a_container_only_if_that_was_asked_for() -> None:
    assert coder_of(64_000_000) == "arithmetic"
    assert coder_of(64_000_001) is None
    assert coder_of(64_000_001, ["huffman", "arithmetic"]) == "arithmetic"


def test_a_file_that_is_coded_by_nothing_has_no_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = tmp_path / "a.onnx"
    artifact.write_bytes(bytes(1000))
    slow = {name: replace(coder, most_bytes=999) for name, coder in coders().items()}
    monkeypatch.setattr(container_file, "coders", lambda: slow)
    assert write_container(artifact) is None
    assert not artifact.with_suffix(".onc").exists()
