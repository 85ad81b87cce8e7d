"""Two hosts without a folder in common on one database: each has the best file of both."""

import logging
import re
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from wsgiref.simple_server import make_server

import boto3
import pytest
import sqlalchemy
from moto.server import ThreadedMotoServer
from optuna.artifacts import Backoff, get_all_artifact_meta
from optuna_dashboard import wsgi
from sqlalchemy.pool import Pool

from benchmarks.postgres import PostgresServer, programs
from search import run
from search.api import compress
from search.dashboard import _Quiet
from search.storage.downloads import Downloads
from search.storage.study import load_study

GRID = ["--model", "cnn", "--data", "mnist5k", "--train-fraction", "0.1", "--epochs", "1"]
GRID += ["--qat-epochs", "0", "--sparsity", "0.9", "--precision", "32,8", "--workers", "1"]


@dataclass(frozen=True)
class Host:
    """Has a name, a working folder and a studies folder of its own; commands run here."""

    name: str
    folder: Path
    database: str
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def call(self, command: str, *arguments: object) -> tuple[int, str, str]:
        """Return the exit code of a command, and what it printed."""
        self.folder.mkdir(exist_ok=True)
        self.monkeypatch.chdir(self.folder)
        self.monkeypatch.setattr("socket.gethostname", lambda: self.name)
        where = ["--study", "s", "--storage", self.database]
        self.capsys.readouterr()
        code = import_module(f"search.{command}").main([*where, *map(str, arguments)])
        printed = self.capsys.readouterr()
        return code, printed.out, printed.err

    def exported(self, out: str = "out") -> bytes:
        """Return the recommended trial's file."""
        code, _, err = self.call("export", "--out", out)
        assert (code, err) == (0, "")
        return (self.folder / out / "model.onnx").read_bytes()

    def artifacts(self) -> dict[str, bytes]:
        folder = self.folder / "studies" / "s" / "artifacts"
        return {file.name: file.read_bytes() for file in folder.iterdir()}

    def downloaded(self) -> dict[str, bytes]:
        """Return all files of the study and its trials, as the dashboard gives them."""
        study = load_study("s", self.database)
        owners = [(study, "")] + [(trial, f"{trial._trial_id}/") for trial in study.trials]
        downloads = Downloads(self.folder / "studies", study._storage)
        app = wsgi(study._storage, artifact_store=downloads)
        found = {}
        with make_server("127.0.0.1", 0, app, handler_class=_Quiet) as server:
            threading.Thread(target=server.serve_forever).start()
            place = f"http://127.0.0.1:{server.server_port}/artifacts/{study._study_id}"
            for owner, part in owners:
                for meta in get_all_artifact_meta(owner, storage=study._storage):
                    with urllib.request.urlopen(f"{place}/{part}{meta.artifact_id}") as answer:
                        found[meta.filename] = answer.read()
            server.shutdown()
        return found


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database, of PostgreSQL where that is installed; connections to it are closed."""
    url = f"sqlite:///{tmp_path / 'all.db'}"
    if programs() is not None:
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.new_database()
    connections: list = []

    def remember(connection: object, _: object) -> None:
        connections.append(connection)

    sqlalchemy.event.listen(Pool, "connect", remember)
    yield url
    sqlalchemy.event.remove(Pool, "connect", remember)
    for connection in connections:
        connection.close()


@pytest.fixture
def hosts(
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> list[Host]:
    return [Host(f"host-{n}", tmp_path / n, database, monkeypatch, capsys) for n in "abc"]


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadedMotoServer]:
    """A server that answers as S3 does, and has a bucket; what tries again does so once."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {"ENDPOINT_URL": f"http://{host}:{port}", "DEFAULT_REGION": "us-east-1"}
    settings |= {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "confidential"}
    for name, value in settings.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("NO_PROXY", host)
    stores = "search.storage.artifact_stores"
    monkeypatch.setattr(f"{stores}.Backoff", lambda store: Backoff(store, max_retries=2))
    monkeypatch.setattr(f"{stores}.ATTEMPTS", 1)
    boto3.client("s3").create_bucket(Bucket="files")
    yield server
    server.stop()


@pytest.fixture(params=["s3", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store."""
    if request.param == "s3":
        request.getfixturevalue("s3")
        return "s3://files/some/studies"
    folder = tmp_path / "a shared folder"
    folder.mkdir()
    return folder.as_uri()


def test_the_best_of_two_hosts_is_the_same_file_from_any(store: str, hosts: list[Host]) -> None:
    first, second, third = hosts
    assert first.call("run", *GRID, "--trials", 1, "--artifacts", store)[0] == 0
    code, out, _ = second.call("run", *GRID)  # the study knows its store
    assert code == 0
    assert f"files go to {store}, too" in " ".join(out.split())
    assert "not here" not in out
    trials = [
        {name for name in host.artifacts() if name.startswith("trial-")}
        for host in (first, second)
    ]
    assert min(map(len, trials)) == 2  # with the container
    best = first.exported()
    assert second.exported() == best
    assert third.exported() == best
    assert third.call("report")[0] == 0
    assert "layer of trial" in (third.folder / "studies" / "s" / "report.md").read_text()
    made = first.artifacts() | second.artifacts()
    assert third.downloaded() == made
    assert third.artifacts() == made
    attributes = load_study("s", first.database).user_attrs
    assert attributes["artifacts"] == store
    assert "confidential" not in str(attributes)


def test_without_a_store_it_is_said_where_files_are_and_a_store_may_be_given_later(
    hosts: list[Host], tmp_path: Path
) -> None:
    first, second, _ = hosts
    assert first.call("run", *GRID)[0] == 0
    there = first.folder / "studies" / "s" / "artifacts"
    place = f"not here but on host host-a, in {there}; `search.run --artifacts URL` there shares"
    code, _, err = second.call("export", "--out", "out")
    assert code == 1
    assert re.fullmatch(rf"The file of trial \d is {re.escape(place)} files\.\n", err)
    code, out, _ = second.call("report")
    assert code == 0
    assert f"The files of all trials are {place}" in " ".join(out.split())
    (tmp_path / "shared").mkdir()
    url = (tmp_path / "shared").as_uri()
    code, out, _ = first.call("run", *GRID, "--artifacts", url)
    assert code == 0
    assert "files of 2 trials that had ended before are there now" in " ".join(out.split())
    assert second.exported() == first.exported()
    code, _, err = first.call("run", *GRID, "--artifacts", tmp_path.as_uri())
    assert code == 2
    assert re.fullmatch(r"Study 's' has its files in file:\S+, not in \S+: leave `--art.*\n", err)


def test_a_file_that_has_changed_in_the_store_is_not_taken(
    hosts: list[Host], tmp_path: Path
) -> None:
    first, second, _ = hosts
    (tmp_path / "shared").mkdir()
    url = (tmp_path / "shared").as_uri()
    one = ["--precision", "8"]
    assert first.call("run", *GRID, *one, "--artifacts", url)[0] == 0
    for file in (tmp_path / "shared" / "s").iterdir():
        file.unlink()
        file.write_bytes(b"another")
    code, _, err = second.call("export", "--out", "out")
    assert code == 1
    assert re.fullmatch(r"trial-0000\.onnx of study 's' is neither here nor, as it was .*\n", err)
    assert not (second.folder / "studies" / "s").exists()


def test_each_form_of_a_file_is_shared(hosts: list[Host], tmp_path: Path) -> None:
    first, second, _ = hosts
    (tmp_path / "shared").mkdir()
    options = ["--artifacts", (tmp_path / "shared").as_uri(), "--runtime", "litert"]
    options += ["--precision", "8"]
    assert first.call("run", *GRID, *options)[0] == 0
    assert second.exported() == first.exported()
    assert second.artifacts().keys() == {"trial-0000.tflite", "trial-0000.onnx"}
    assert second.downloaded().keys() >= {"baseline.tflite", "baseline.onnx"}


@pytest.mark.faults
def test_a_store_that_goes_away_is_one_line_and_the_trial_runs_again(
    s3: ThreadedMotoServer, hosts: list[Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    host, other, _ = hosts
    write = Backoff.write

    def go_away(self: Backoff, *arguments: object) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        self._backend.client = boto3.client("s3")
        write(self, *arguments)

    with monkeypatch.context() as broken:
        broken.setattr(Backoff, "write", go_away)
        code, _, err = host.call("run", *GRID, "--artifacts", "s3://files")
    assert code == 1
    assert re.fullmatch(
        r"`--artifacts s3://files` cannot be written to: .*127\.0\.0\.1:1.*\. boto3 takes .*"
        r"Nothing that was finished is lost\. When it is back: python\S* -m search\.run .*",
        err.splitlines()[-1],
    )
    assert "Traceback" not in err
    code, _, err = other.call("run", *GRID, "--artifacts", "s3://files")
    assert code == 2
    assert re.fullmatch(r"`--artifacts s3://files` cannot be used: .*AWS_ENDPOINT_URL.*\n", err)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*s3.get_host_and_port()))
    assert host.call("run", *GRID)[0] == 0
    assert len(load_study("s", host.database).trials) == 2
    assert other.exported() == host.exported()


def test_from_python_a_store_is_given_too_and_the_best_file_fetched(
    hosts: list[Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shared").mkdir()
    found = []
    for host in hosts[:2]:
        host.folder.mkdir()
        monkeypatch.chdir(host.folder)
        best = compress(
            "cnn",
            "mnist5k",
            study="s",
            storage=host.database,
            artifacts=(tmp_path / "shared").as_uri(),
            sparsity=(0.9,),
            precision=(8,),
            epochs=1,
            qat_epochs=0,
            train_fraction=0.1,
        )
        found.append(best.artifact.read_bytes())
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("s3://nowhere", r"`--artifacts s3://nowhere` cannot be used: .*NoSuchBucket.*"),
        ("s3://files/x", r"`--artifacts s3://` needs boto3: `pip install '.*\[s3\]'`\."),
        ("gs://files/x", r"`--artifacts gs://` needs google-.*: `pip install '.*\[gs\]'`\."),
    ],
)
def test_a_store_that_cannot_be_used_is_one_line_before_anything_is_made(
    url: str,
    line: str,
    s3: ThreadedMotoServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    del s3
    if "boto3:" in line:
        monkeypatch.setitem(sys.modules, "boto3", None)
    studies = tmp_path / "studies"
    assert run.main([*GRID, "--artifacts", url, "--studies-dir", str(studies)]) == 2
    assert re.fullmatch(rf"{line}\n", capsys.readouterr().err)
    assert not studies.exists()
