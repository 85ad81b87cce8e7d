"""The report's page in a real browser."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from search.results.front import chosen_trial
from search.results.table import StudyTable
from search.storage.paths import StudyPaths
from search.storage.study import load_study

POINT = """
const plot = document.getElementById("accuracy-against-bytes");
const trace = plot.data.findIndex((each) => each.name === "this study");
const points = plot.querySelectorAll(".scatterlayer .trace")[trace].querySelectorAll(".point");
const box = points[arguments[0]].getBoundingClientRect();
return [box.x + box.width / 2, box.y + box.height / 2, plot.data[trace].customdata[arguments[0]]];
"""
MARKED = """
return Object.fromEntries(Object.keys(told.marks).map((name) => {
  const trace = document.getElementById(name).data.find((each) => each.name === "chosen trial");
  return [name, [trace.x, trace.y]];
}));
"""


@pytest.fixture
def table(digits_study: Path) -> StudyTable:
    return StudyTable(load_study("s", StudyPaths(digits_study, "s").url))


@pytest.fixture
def page(digits_study: Path, browser: Chrome) -> Chrome:
    browser.get((digits_study / "s" / "report.html").as_uri())
    return browser


def answer(page: Chrome) -> str:
    return page.find_element(By.ID, "answer").text


def slide(page: Chrome, name: str, *keys: str) -> WebElement:
    slider = page.find_element(By.ID, f"slider-{name}")
    slider.send_keys(*keys)
    return slider


def trials_shown(page: Chrome) -> list[int]:
    rows = page.find_elements(By.CSS_SELECTOR, "#all-trials tbody tr")
    return [int(row.get_attribute("data-trial")) for row in rows if row.is_displayed()]


def column(page: Chrome, name: str) -> WebElement:
    heads = page.find_elements(By.CSS_SELECTOR, "#all-trials th button")
    return next(head for head in heads if head.text == name)


def test_renders_without_a_console_error_or_a_request(page: Chrome) -> None:
    page.execute_script("document.querySelectorAll('details').forEach((each) => each.open = true)")
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


def test_the_first_screen_answers(page: Chrome, table: StudyTable, digits_study: Path) -> None:
    chosen = chosen_trial(load_study("s", StudyPaths(digits_study, "s").url))
    assert chosen is not None
    row = next(row for row in table.rows if row.trial.number == chosen.number)
    told = answer(page)
    assert told.startswith(f"Take trial {chosen.number}: {row.done}")
    size = f"{row.attribute('reduction_factor'):.1f} times smaller than your network"
    assert f"{size} ({row.size:,} instead of {row.baseline_size:,} bytes after gzip)" in told
    assert f"({row.scored.told('test')} on test)" in told
    assert f"{row.attribute('latency_ms'):.3f} ms" in told
    assert re.search(r"the smallest of \d that lose at most 0.5 points of", told)
    assert "Given up: trial" in told or "No trial has a better validation accuracy." in told
    assert "One seed: how much another would differ is not known" in told
    assert f"s/artifacts/trial-{chosen.number:04d}.onnx" in told
    assert f"python -m search.export --study s --studies-dir {digits_study} --trial " in told
    title = page.find_element(By.ID, "answer")
    assert title.rect["y"] + title.rect["height"] < 800


def test_the_slider_moves_answer_front_and_marks(page: Chrome, table: StudyTable) -> None:
    sizes = {row.trial.number: row.size for row in table.rows}
    slider = slide(page, "drop", Keys.END)  # whatever is lost: the smallest of all
    smallest = min(sizes, key=sizes.__getitem__)
    told = answer(page)
    assert told.startswith(f"Take trial {smallest}:")
    assert "the smallest of 4 that" in told
    assert f"--trial {smallest} --out trial-{smallest}" in told
    assert slider.get_attribute("aria-valuetext").endswith("points of validation accuracy")
    assert page.execute_script(MARKED)["accuracy-against-bytes"][0] == [sizes[smallest]]
    assert not page.find_elements(By.CSS_SELECTOR, ".front .beyond")

    slide(page, "drop", Keys.HOME)  # nothing may be lost
    drops = {row.trial.number: -row.attribute("val_delta_pct") for row in table.rows}
    losing = {number for number, drop in drops.items() if drop > 0}
    kept = min(sizes.keys() - losing, key=sizes.__getitem__)
    assert answer(page).startswith(f"Take trial {kept}:")
    beyond = page.find_elements(By.CSS_SELECTOR, ".front .beyond")
    assert {int(each.get_attribute("data-trial")) for each in beyond} <= losing
    assert losing
    assert beyond


@pytest.mark.parametrize("position", [0, 3])
def test_a_click_on_a_point_shows_its_file_and_command(page: Chrome, position: int) -> None:
    page.execute_script("document.getElementById('accuracy-against-bytes').scrollIntoView()")
    x, y, trial = page.execute_script(POINT, position)
    ActionChains(page).move_by_offset(round(x), round(y)).pause(0.5).click().perform()
    told = answer(page)
    assert re.match(rf"(Take trial|Trial) {trial}:", told)
    assert f"s/artifacts/trial-{trial:04d}.onnx" in told
    assert "python -m search.run --model cnn --data mnist5k" in told
    assert f"--study s-trial-{trial} --plan" in told


def test_each_plot_marks_the_trial_that_is_chosen(page: Chrome, table: StudyTable) -> None:
    for row in table.rows:
        page.execute_script("show(arguments[0])", row.trial.number)
        marked = page.execute_script(MARKED)
        assert marked["accuracy-against-bytes"] == [[row.size], [row.scored.value("test")]]
        assert marked["quality"] == [[f"{row.bits:g} bits"], [f"{row.sparsity:.4g}"]]
        assert marked["stage-seconds"][0] == [row.trial.number]
        assert marked["best"][0] == marked["hypervolume"][0] == [row.trial.number + 1]
        lines = marked["parameters"][1]
        values = sorted(each.attribute("saving") for each in table.rows)
        height = (row.attribute("saving") - values[0]) / (values[-1] - values[0])
        assert lines[0] == pytest.approx(height)


def test_another_trial_is_left_again(page: Chrome) -> None:
    first = answer(page)
    other = page.find_elements(By.CSS_SELECTOR, ".front button[aria-pressed='false']")[0]
    other.click()
    assert answer(page) != first
    page.find_element(By.ID, "back").click()
    assert answer(page) == first


def test_the_keyboard_does_what_a_click_does(page: Chrome) -> None:
    button = page.find_elements(By.CSS_SELECTOR, ".front button")[0]
    trial = button.get_attribute("data-trial")
    button.send_keys(Keys.ENTER)
    assert re.match(rf"(Take trial|Trial) {trial}:", answer(page))
    assert button.get_attribute("aria-pressed") == "true"
    number = page.find_elements(By.CSS_SELECTOR, "#all-trials tbody button")[0]
    number.send_keys(Keys.ENTER)
    assert re.match(rf"(Take trial|Trial) {number.text}:", answer(page))


def test_the_table_is_sorted_filtered_and_its_columns_chosen(
    page: Chrome, table: StudyTable
) -> None:
    sizes = {row.trial.number: row.size for row in table.rows}
    column(page, "bytes").click()
    assert trials_shown(page) == sorted(sizes, key=sizes.__getitem__)
    column(page, "bytes").click()
    assert trials_shown(page) == sorted(sizes, key=sizes.__getitem__, reverse=True)
    page.find_element(By.ID, "filter").send_keys("8 bits pruned")
    fitting = [row.trial.number for row in table.rows if row.done == "90 % pruned; 8 bits"]
    assert trials_shown(page) == fitting
    assert page.find_element(By.ID, "count").text == "1 of 4 trials"
    heads = [head.text for head in page.find_elements(By.CSS_SELECTOR, "#all-trials th")]
    assert "U" not in heads
    page.find_element(By.CSS_SELECTOR, ".columns summary").click()
    (box,) = [
        each for each in page.find_elements(By.CSS_SELECTOR, ".columns label") if each.text == "U"
    ]
    box.click()
    assert column(page, "U").is_displayed()


def test_later_parts_are_folded_and_draw_themselves_when_opened(page: Chrome) -> None:
    (part,) = [
        each
        for each in page.find_elements(By.CSS_SELECTOR, "details")
        if each.find_elements(By.ID, "stage-seconds")
    ]
    figure = part.find_element(By.CSS_SELECTOR, "figure")
    assert not figure.is_displayed()
    part.find_element(By.TAG_NAME, "summary").click()
    assert figure.is_displayed()
    drawn = part.find_element(By.CSS_SELECTOR, "svg.main-svg")
    assert drawn.rect["width"] == pytest.approx(figure.rect["width"], abs=2)


def test_every_word_over_a_column_is_explained(page: Chrome) -> None:
    terms = {each.get_attribute("textContent") for each in page.find_elements(By.TAG_NAME, "dt")}
    heads = page.find_elements(By.CSS_SELECTOR, "#all-trials th button")
    assert {head.get_attribute("textContent") for head in heads} <= terms


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_is_as_wide_as_a_phone_and_dark_where_that_is_wished(page: Chrome, scheme: str) -> None:
    wished = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wished})
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    page.refresh()
    page.execute_script("document.querySelectorAll('details').forEach((each) => each.open = true)")
    width = page.execute_script("return document.documentElement.scrollWidth")
    assert width <= 390
    body = page.find_element(By.TAG_NAME, "body")
    paper, ink, blue = {
        "light": ("rgba(255, 255, 255, 1)", "#1b1b1b", "#0072b2"),
        "dark": ("rgba(21, 24, 27, 1)", "#e8e8e8", "#56b4e9"),
    }[scheme]
    assert body.value_of_css_property("background-color") == paper
    plot = "document.getElementById('accuracy-against-bytes')"
    assert page.execute_script(f"return {plot}.layout.font.color") == ink
    assert page.execute_script(f"return {plot}.data[0].line.color") == blue
    labels = page.find_elements(By.CSS_SELECTOR, "#accuracy-against-bytes .xtick text")
    boxes = sorted((each.rect["x"], each.rect["x"] + each.rect["width"]) for each in labels)
    assert len(boxes) >= 2
    assert all(end < start for (_, end), (start, _) in pairwise(boxes))
