"""The report's page in a real browser."""

import json
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

POINT = """
const plot = document.getElementById("accuracy-against-bytes");
const trace = plot.data.findIndex((each) => each.name === "this study");
const points = plot.querySelectorAll(".scatterlayer .trace")[trace].querySelectorAll(".point");
const box = points[arguments[0]].getBoundingClientRect();
return [box.x + box.width / 2, box.y + box.height / 2, plot.data[trace].customdata[arguments[0]]];
"""


@pytest.fixture
def page(digits_study: Path, browser: Chrome) -> Chrome:
    browser.get((digits_study / "s" / "report.html").as_uri())
    return browser


def shown(page: Chrome) -> str:
    return page.find_element(By.ID, "chosen").text


def test_renders_without_a_console_error_or_a_request(page: Chrome) -> None:
    assert [line for line in page.get_log("browser") if line["level"] == "SEVERE"] == []
    messages = [json.loads(line["message"])["message"] for line in page.get_log("performance")]
    requests = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
        and message["params"]["documentURL"].endswith("report.html")
    ]
    assert any(url.endswith("report.html") for url in requests)
    assert {url.split(":")[0] for url in requests} <= {"file", "data", "blob"}
    figures = page.find_elements(By.CSS_SELECTOR, "figure")
    assert len(figures) >= 5
    for figure in figures:
        assert figure.find_elements(By.CSS_SELECTOR, "svg.main-svg")
        assert figure.find_element(By.CSS_SELECTOR, "[role=img]").get_attribute("aria-label")


def test_recommends_and_shows_the_best_trial(page: Chrome) -> None:
    sentence = page.find_element(By.CLASS_NAME, "recommended").text
    number = sentence.removeprefix("Take trial ").split()[0]
    assert f"s/artifacts/trial-{int(number):04d}.onnx" in sentence
    assert shown(page).startswith(f"Trial {number}:")


@pytest.mark.parametrize("position", [0, 3])
def test_a_click_on_a_point_shows_its_file_and_command(page: Chrome, position: int) -> None:
    page.execute_script("document.getElementById('accuracy-against-bytes').scrollIntoView()")
    x, y, trial = page.execute_script(POINT, position)
    ActionChains(page).move_by_offset(round(x), round(y)).pause(0.5).click().perform()
    assert shown(page).startswith(f"Trial {trial}:")
    assert f"s/artifacts/trial-{trial:04d}.onnx" in shown(page)
    assert "python -m search.run --model cnn --data mnist5k" in shown(page)
    assert f"--study s-trial-{trial} --plan" in shown(page)


def test_the_keyboard_does_what_a_click_does(page: Chrome) -> None:
    button = page.find_elements(By.CSS_SELECTOR, "button[data-trial]")[0]
    trial = button.get_attribute("data-trial")
    button.send_keys(Keys.ENTER)
    assert shown(page).startswith(f"Trial {trial}:")
    assert button.get_attribute("aria-pressed") == "true"


def test_is_as_wide_as_a_phone_and_dark_where_that_is_wished(page: Chrome) -> None:
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": dark})
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    page.refresh()
    width = page.execute_script("return document.documentElement.scrollWidth")
    assert width <= 390
    body = page.find_element(By.TAG_NAME, "body")
    assert body.value_of_css_property("background-color") == "rgba(21, 24, 27, 1)"
    ink = "return document.getElementById('accuracy-against-bytes').layout.font.color"
    assert page.execute_script(ink) == "#e8e8e8"
