"""The dashboard of a real study, in a real browser."""

from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait
from serving import serving

from search import dashboard, run
from search.storage.study import load_study

SECONDS = 60

FRONT = """
const plot = document.getElementById("graph-pareto-front");
return plot?.data?.flatMap((trace) => Array.from(trace.x, (x, i) => [x, trace.y[i]]));
"""
"""The points of optuna-dashboard's own plot."""


@pytest.fixture(scope="module")
def address(digits_study: Path) -> Iterator[str]:
    with serving("s", digits_study) as address:
        yield address


def wait_for_text(browser: Chrome, *texts: str) -> None:
    def there(_: Chrome) -> bool:
        shown = browser.find_element(By.TAG_NAME, "body").text
        return all(text in shown for text in texts)

    WebDriverWait(browser, SECONDS).until(there, f"The page does not show {texts}.")


def test_listens_on_loopback_only(address: str) -> None:
    assert address.startswith("http://127.0.0.1:")


def test_trials_show_named_attributes_and_their_files(
    address: str, browser: Chrome, digits_study: Path, tmp_path: Path
) -> None:
    browser.get(f"{address}/trials?numbers=3")
    wait_for_text(browser, "4 Trials", "test_accuracy_pct", "shipped_bytes", "trial-0003.onnx")
    for ending in ("onnx", "onc"):
        name = f"trial-0003.{ending}"
        browser.find_element(By.CSS_SELECTOR, f"a[download='{name}']").click()
        WebDriverWait(browser, SECONDS).until(lambda _, name=name: (tmp_path / name).exists())
        expected = digits_study / "s" / "artifacts" / name
        assert (tmp_path / name).read_bytes() == expected.read_bytes()


def test_note_and_plots_of_the_study(address: str, browser: Chrome) -> None:
    browser.get(f"{address}/note")
    wait_for_text(browser, "Study s", "The Pareto front on validation", "90 %")
    browser.get(address)
    wait_for_text(browser, "Test accuracy against size", "Quality (Eq. 5, on test)")
    wait_for_text(browser, "Layers of trial", "kept, %", "bytes")


def test_serves_the_report_too(address: str, digits_study: Path) -> None:
    host = address.partition("/dashboard")[0]
    with urlopen(f"{host}/report") as answer:
        assert answer.read() == (digits_study / "s" / "report.html").read_bytes()
        assert answer.headers["Cache-Control"] == "no-store"


def test_without_a_report_its_page_looks_again(tmp_path: Path) -> None:
    asked: list[str] = []
    app = dashboard.with_report(
        lambda environ, _: [environ["PATH_INFO"].encode()], tmp_path / "report.html"
    )
    answers = [
        b"".join(app({"PATH_INFO": path}, lambda status, _: asked.append(status)))
        for path in ("/report", "/report/", "/dashboard/")
    ]
    assert b'http-equiv="refresh"' in answers[0]
    assert answers[1:] == [answers[0], b"/dashboard/"]
    assert asked == ["200 OK"] * 2


def test_the_dashboards_own_front_plot_has_every_trial_of_a_pareto_study(
    digits_study: Path, browser: Chrome
) -> None:
    command = ["--model", "cnn", "--data", "mnist5k", "--epochs", "2", "--qat-epochs", "1"]
    command += ["--sparsity", "0,0.9", "--precision", "32,8", "--objective", "pareto"]
    assert run.main([*command, "--study", "p", "--studies-dir", str(digits_study)]) == 0
    with serving("p", digits_study) as address:
        browser.get(address)
        wait_for_text(browser, "Pareto Front", "val_accuracy_pct", "artifact_bytes")
        shown = WebDriverWait(browser, SECONDS).until(lambda _: browser.execute_script(FRONT))
    trials = load_study("p", f"sqlite:///{digits_study}/p.db").trials
    assert sorted(map(tuple, shown)) == sorted(tuple(trial.values) for trial in trials)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--study", "nope"), "The storage sqlite:///"),
        (("--study", "../s"), "A study name must be up to 100 printable"),
        (("--study", "s", "--port", "65536"), "Argument --port: must be from 0 to 65535"),
        (("--study", "s", "--port", "0", "--host", "192.0.2.1"), "`--host 192.0.2.1 --port 0`: "),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...],
    line: str,
    digits_study: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        code = dashboard.main([*arguments, "--studies-dir", str(digits_study)])
    except SystemExit as ended:
        code = ended.code
    err = capsys.readouterr().err
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(line)
