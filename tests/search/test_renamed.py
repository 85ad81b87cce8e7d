"""Studies whose names are no file names, and such as are renamed in optuna-dashboard."""

import io
import json
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import pytest
from commands import in_folder, start, wait_for_line
from optuna.trial import TrialState
from optuna_dashboard import wsgi

from search import export, report, run
from search.storage.found import load_located, located
from search.storage.paths import StudyPaths, files_name
from search.storage.study import load_study

SMALL = ("--model", "cnn", "--data", "mnist5k", "--epochs", "1", "--qat-epochs", "1")
SMALL += ("--workers", "1", "--train-fraction", "0.2")
GRID = (*SMALL, "--sparsity", "0,0.5,0.75,0.9", "--precision", "32,8")


def renamed(folder: Path, study: str, name: str) -> None:
    """Rename a study as the page of optuna-dashboard does."""
    stored = load_study(study, StudyPaths(folder, study).url)
    body = json.dumps({"study_name": name}).encode()
    environ: dict = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": f"/api/studies/{stored._study_id}/rename",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    setup_testing_defaults(environ)
    answered: list[str] = []
    list(wsgi(stored._storage)(environ, lambda status, *_: answered.append(status)))
    assert answered[0].startswith("201"), answered


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_study_that_is_renamed_while_it_runs_goes_on(workers: str, tmp_path: Path) -> None:
    process = start(tmp_path, *GRID, "--study", "old", "--workers", workers, "--heartbeat", "1")
    wait_for_line(process, "trial ")
    renamed(tmp_path, "old", "new name/2")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert "Study 'old' is called 'new name/2' now, and goes on." in " ".join(out.split())
    study, paths = load_located(tmp_path, "new name/2")
    assert paths == StudyPaths(tmp_path, "new name/2", "old")
    done = [trial.params for trial in study.trials if trial.state == TrialState.COMPLETE]
    assert len(done) == 8
    assert len({tuple(params.values()) for params in done}) == 8
    assert {trial.state for trial in study.trials} <= {TrialState.COMPLETE, TrialState.FAIL}
    assert (paths.folder / "report.html").is_file()
    for name in ("old", "new name/2"):  # by both names
        assert report.main(in_folder(tmp_path, "--study", name)) == 0
    assert run.main(in_folder(tmp_path, *GRID, "--study", "old")) == 0
    assert len(study.trials) == len(load_located(tmp_path, "old")[0].trials)


def test_a_study_that_is_deleted_while_it_runs_ends_in_a_line(tmp_path: Path) -> None:
    process = start(tmp_path, *GRID, "--study", "old")
    wait_for_line(process, "trial ")
    stored = load_study("old", StudyPaths(tmp_path, "old").url)
    stored._storage.delete_study(stored._study_id)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 2
    assert err == "There is no study 'old'. Known: none.\n"


def test_a_name_with_a_space_is_run_reported_and_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "my first study: 90 %"
    one = (*SMALL, "--sparsity", "0.5", "--precision", "8", "--study", name)
    assert run.main(in_folder(tmp_path, *one)) == 0
    assert run.main(in_folder(tmp_path, *one)) == 0
    assert report.main(in_folder(tmp_path, "--study", name)) == 0
    out = tmp_path / "out"
    assert export.main(in_folder(tmp_path, "--study", name, "--out", str(out))) == 0
    assert (out / "model.onnx").is_file()
    assert f"Study {name} in " in capsys.readouterr().out
    files = files_name(name)
    assert (tmp_path / f"{files}.db").is_file()
    assert (tmp_path / files / "artifacts" / "trial-0000.onnx").is_file()


def test_names_alike_have_files_of_their_own() -> None:
    assert files_name("cnn-mnist5k_1.a") == "cnn-mnist5k_1.a"
    assert len({files_name(name) for name in ("a b", "a_b", "a:b", "a  b")}) == 4
    assert files_name("a b").startswith("a_b-")


def test_a_name_that_nobody_has_is_that_of_a_new_study(tmp_path: Path) -> None:
    assert located(tmp_path, "x") == StudyPaths(tmp_path, "x")
    (tmp_path / "broken.db").write_bytes(b"no database " * 99)
    assert located(tmp_path, "x") == StudyPaths(tmp_path, "x")
