"""A finished study, a browser to look at things with, and a database server."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from benchmarks.postgres import PostgresServer, programs
from search import run

CHROMIUM_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1400",
)


@pytest.fixture(scope="session")
def digits_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A studies folder with the finished study `s`: 0 and 90 % sparsity, 32 and 8 bits."""
    folder = tmp_path_factory.mktemp("digits_study")
    command = ["--model", "cnn", "--data", "mnist5k", "--epochs", "2", "--qat-epochs", "1"]
    command += ["--sparsity", "0,0.9", "--precision", "32,8", "--objective", "saving"]
    assert run.main([*command, "--study", "s", "--studies-dir", str(folder)]) == 0
    return folder


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """Chromium, its downloads in `tmp_path`; it logs its console and its network requests."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        assert "CI" not in os.environ, "CI has no chromium"
        pytest.skip("needs Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*CHROMIUM_FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(tmp_path)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
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
