"""Make the pictures of report and dashboard in docs/: `python -m docs.screenshots`.

The report's first screen, on a desk and on a phone, in the light and in the dark, and the
dashboard, of a study that is finished or of a small one that is run first: 24 trials on 5,000
digits.
Needs Debian's packages chromium and chromium-driver.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from docs.chromium import open_chromium
from search.settings.parsing import STUDIES_DIR, OneLineParser, add_study_location

SMALL_STUDY = "digits"
SMALL = (
    *("--model", "cnn", "--data", "mnist5k", "--space", "wide", "--objective", "pareto"),
    *("--trials", "24", "--epochs", "8"),
)

SIZES = {"report": (1400, 1400, 0.75), "report-phone": (390, 1500, 1.0)}
"""CSS pixels of the window, and pixels of the picture for one of them."""
DASHBOARD = (1600, 1900, 0.75)
SECONDS = 60
SETTLED_SECONDS = 3.0
"""The dashboard draws its plots after their data came, one after the other."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write both pictures; return the exit code."""
    parser = OneLineParser(prog="python -m docs.screenshots", description=__doc__)
    parser.add_argument("--study", metavar="NAME", help="default: a small one is run")
    parser.add_argument(
        "--out", type=Path, default=Path("docs"), metavar="DIR", help="(default: docs)"
    )
    add_study_location(parser)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        studies, study = options.studies_dir, options.study
        if study is None:
            studies, study = folder / STUDIES_DIR, SMALL_STUDY
            command = [sys.executable, "-m", "search.run", *SMALL, "--study", study]
            subprocess.run(command, check=True, cwd=folder)  # so that no path of ours is shown
        report = (studies / study / "report.html").resolve()
        if not report.is_file():
            parser.error(f"there is no report {report}")
        browser = open_chromium(folder)
        try:
            for name, size in SIZES.items():
                for scheme, ending in (("light", ""), ("dark", "-dark")):
                    _wish(browser, size, scheme)
                    browser.get(report.as_uri())
                    browser.save_screenshot(options.out / f"{name}{ending}.png")
            _wish(browser, DASHBOARD, "light")
            with _dashboard(study, studies, options.storage) as address:
                browser.get(address)
                WebDriverWait(browser, SECONDS).until(
                    lambda _: len(browser.find_elements(By.CSS_SELECTOR, "svg.main-svg")) > 1
                )
                time.sleep(SETTLED_SECONDS)
                browser.save_screenshot(options.out / "dashboard.png")
        finally:
            browser.quit()
    return 0


def _wish(browser: Chrome, size: tuple[int, int, float], scheme: str) -> None:
    """Let the browser have a window of this size, and its user wish for light or dark."""
    width, height, scale = size
    window = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", window)
    wished = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wished})


@contextmanager
def _dashboard(study: str, studies: Path, storage: str | None) -> Iterator[str]:
    """Serve the dashboard within the block and give its address."""
    command = [sys.executable, "-m", "search.dashboard", "--study", study, "--port", "0"]
    command += ["--studies-dir", str(studies), *(["--storage", storage] if storage else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[0]
        finally:
            process.terminate()


if __name__ == "__main__":
    sys.exit(main())
