"""The dashboard of a real study, in a real browser."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from search import dashboard

SECONDS = 60


@pytest.fixture(scope="module")
def address(digits_study: Path) -> Iterator[str]:
    """Where a dashboard of the study listens."""
    command = [sys.executable, "-m", "search.dashboard", "--study", "s", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--studies-dir", str(digits_study)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process.stdout.readline().split()[0]
    process.terminate()
    process.wait()
    process.stdout.close()


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
    wait_for_text(browser, "Study s", "The Pareto front on test", "90 %")
    browser.get(address)
    wait_for_text(browser, "Test accuracy against size", "Quality (Eq. 5, on test)")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--study", "nope"), "The storage sqlite:///"),
        (("--study", "../s"), "A study name must be up to 100 letters"),
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
