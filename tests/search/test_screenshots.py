"""The pictures of the documentation, made of a real study."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from docs import screenshots


@pytest.mark.skipif(
    shutil.which("chromium") is None, reason="needs Debian's packages chromium and chromium-driver"
)
def test_all_pictures_are_drawn_and_small(digits_study: Path, tmp_path: Path) -> None:
    arguments = ["--study", "s", "--studies-dir", str(digits_study), "--out", str(tmp_path)]
    assert screenshots.main(arguments) == 0
    wide, phone = (1050, 1050), (390, 1500)
    sizes = {"report": wide, "report-dark": wide, "report-phone": phone}
    sizes |= {"report-phone-dark": phone, "dashboard": (1200, 1425)}
    for name, size in sizes.items():
        file = tmp_path / f"{name}.png"
        assert file.stat().st_size < 300_000
        picture = Image.open(file).convert("RGB")
        assert picture.size == size
        assert len(picture.getcolors(picture.width * picture.height)) > 200
        is_dark = sum(picture.getpixel((size[0] // 2, 2))) < 200
        assert is_dark == name.endswith("dark")


def test_a_study_without_a_report_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        screenshots.main(["--study", "nope", "--studies-dir", str(tmp_path)])
    assert ended.value.code == 2
    report = tmp_path / "nope" / "report.html"
    assert capsys.readouterr().err == f"There is no report {report}\n"
