"""A finished study, a browser to look at things with, and a database server."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from selenium import webdriver

from benchmarks.postgres import PostgresServer, programs
from docs.chromium import open_chromium
from objectives.artifact import container_file
from objectives.container.coders import coders
from search import run


@pytest.fixture(scope="session")
def digits_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A studies folder with the finished study `s`: 0 and 90 % sparsity, 32 and 8 bits."""
    folder = tmp_path_factory.mktemp("digits_study")
    command = ["--model", "cnn", "--data", "mnist5k", "--epochs", "2", "--qat-epochs", "1"]
    command += ["--sparsity", "0,0.9", "--precision", "32,8", "--objective", "saving"]
    command += ["--workers", "1"]
    assert run.main([*command, "--study", "s", "--studies-dir", str(folder)]) == 0
    return folder


@pytest.fixture(autouse=True)
def quickly_coded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file that nobody wants coded be coded by Huffman's codes, however small it is.

    Arithmetic coding takes longer than the rest of a trial of few digits.
    """
    if "digits_study" in request.fixturenames:
        return
    arithmetic = replace(coders()["arithmetic"], most_bytes=0)
    quick = coders() | {"arithmetic": arithmetic}
    monkeypatch.setattr(container_file, "coders", lambda: quick)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """Chromium, its downloads in `tmp_path`; it logs its console and its network requests."""
    try:
        opened = open_chromium(tmp_path)
    except FileNotFoundError as err:
        assert "CI" not in os.environ, "CI has no chromium"
        pytest.skip(str(err))
    yield opened
    opened.quit()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running server."""
    bin_folder = programs()
    if bin_folder is None:
        assert "CI" not in os.environ, "CI has no postgresql"
        pytest.skip("needs Debian's package postgresql")
    server = PostgresServer(bin_folder)
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'stub.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()
