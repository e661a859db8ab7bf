"""The report in a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from lictor.codec.report.build import report

pytestmark = pytest.mark.slow

PHONE = (360, 740)
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def address(results_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return report(results_folder, tmp_path_factory.mktemp("page") / "report.html").as_uri()


@pytest.fixture
def opened(page: Any, address: str) -> Iterator[Any]:
    """The report, open; whatever is done to it, it must not complain or call anyone."""
    show(page, address)
    yield page
    assert page.faults() == []
    assert page.requests() == []


def show(page: Any, address: str) -> None:
    page.open(address)
    page.wait("document.querySelector('.stage img')?.naturalWidth > 0")
    page.wait("document.querySelectorAll('#rd-plot .scatterlayer .trace').length > 0")


def pick(page: Any, selector: str, text: str) -> None:
    select = Select(page.find(selector))
    (option,) = [o for o in select.options if text in o.text]
    before = page.view()["sources"]
    select.select_by_visible_text(option.text)
    page.wait(f"JSON.stringify({json.dumps(before)}) !== JSON.stringify("
              "[...document.querySelectorAll('.stage img')].map((i) => i.src))")  # fmt: skip


def scale(transform: str) -> float:
    return float(re.search(r"scale\((.*)\)", transform)[1])  # type: ignore[index]


def cut(page: Any) -> float:
    """Where the left picture ends, as a share of the stage."""
    width = page.run("return document.querySelector('.stage').clientWidth")
    left, right = page.view()["clips"]
    place = float(re.search(r"([\d.]+)px\)$", right)[1])  # type: ignore[index]
    rest = float(re.search(r" ([\d.]+)px", left)[1])  # type: ignore[index]
    assert place + rest == pytest.approx(width, abs=0.1)
    return place / width


# ---- divider


def test_divider_follows_the_mouse(opened: Any):
    assert cut(opened) == pytest.approx(0.5)
    divider = opened.find(".divider")
    ActionChains(opened.driver).drag_and_drop_by_offset(divider, 200, 0).perform()
    width = opened.run("return document.querySelector('.stage').clientWidth")
    assert cut(opened) == pytest.approx(0.5 + 200 / width, abs=0.01)


def test_divider_follows_a_finger(opened: Any, address: str):
    opened.look(PHONE, touch=True)
    show(opened, address)
    opened.run("document.querySelector('.stage').scrollIntoView({block: 'center'})")
    box = opened.run("const b = document.querySelector('.stage').getBoundingClientRect();"
                     "return [b.left, b.top, b.width, b.height]")  # fmt: skip
    y = box[1] + box[3] / 2
    for kind, share in (("Start", 0.5), ("Move", 0.4), ("Move", 0.25), ("End", None)):
        points = [] if share is None else [{"x": box[0] + share * box[2], "y": y}]
        event = {"type": f"touch{kind}", "touchPoints": points}
        opened.driver.execute_cdp_cmd("Input.dispatchTouchEvent", event)
    assert cut(opened) == pytest.approx(0.25, abs=0.01)


def test_divider_follows_keys(opened: Any):
    opened.find(".divider").send_keys(*[Keys.ARROW_LEFT] * 3)
    assert cut(opened) == pytest.approx(0.47)
    assert opened.find(".divider").get_attribute("aria-valuenow") == "47"
    opened.find(".divider").send_keys(Keys.END)
    assert opened.find(".divider").get_attribute("aria-valuenow") == "100"


# ---- zoom


def test_zoom_and_pan_are_locked_together(opened: Any):
    stage = opened.find(".stage")
    before = opened.view()
    opened.run("arguments[0].dispatchEvent(new WheelEvent('wheel', {deltaY: -600, clientX: 300,"
               " clientY: 300, cancelable: true}))", stage)  # fmt: skip
    zoomed = opened.view()
    assert len(set(zoomed["transforms"])) == 1
    assert scale(zoomed["transforms"][0]) > 2 * scale(before["transforms"][0])
    assert zoomed["rendering"] == ["pixelated", "pixelated"]
    place = cut(opened)
    ActionChains(opened.driver).move_to_element_with_offset(stage, 200, 60).click_and_hold(
    ).move_by_offset(-50, -30).release().perform()  # fmt: skip
    panned = opened.view()
    assert len(set(panned["transforms"])) == 1
    assert panned["transforms"] != zoomed["transforms"]
    assert scale(panned["transforms"][0]) == scale(zoomed["transforms"][0])
    assert cut(opened) == place
    stage.send_keys("0")
    assert opened.view()["transforms"] == before["transforms"]


def test_point_under_the_mouse_stays(opened: Any):
    spot = "const b = document.querySelector('.stage img').getBoundingClientRect();"
    box = opened.run(f"{spot} return [b.left, b.top, b.width, b.height]")
    x, y = box[0] + 0.3 * box[2], box[1] + 0.6 * box[3]
    opened.run("document.querySelector('.stage').dispatchEvent(new WheelEvent('wheel',"
               f" {{deltaY: -300, clientX: {x}, clientY: {y}, cancelable: true}}))")  # fmt: skip
    after = opened.run(f"{spot} return [b.left, b.top, b.width, b.height]")
    assert after[2] > 2 * box[2]
    assert (x - after[0]) / after[2] == pytest.approx(0.3, abs=0.005)
    assert (y - after[1]) / after[3] == pytest.approx(0.6, abs=0.005)


def test_double_click_zooms_in_and_out(opened: Any):
    fitted = opened.view()["transforms"]
    stage = opened.find(".stage")
    mouse = ActionChains(opened.driver).move_to_element_with_offset(stage, 150, 50)
    mouse.double_click().perform()
    zoomed = opened.view()["transforms"]
    assert zoomed[0] == zoomed[1]
    assert scale(zoomed[0]) == pytest.approx(max(4, 2 * scale(fitted[0])))
    assert cut(opened) == pytest.approx(0.5)
    mouse.pause(0.5).double_click().perform()
    assert opened.view()["transforms"] == fitted
    opened.find("button[title^='Four times']").click()
    assert opened.view()["zoom"] == "400 %"
    opened.find("button[title^='One pixel']").click()
    assert opened.view()["zoom"] == "100 %"


def test_pinch(opened: Any, address: str):
    opened.look(PHONE, touch=True)
    show(opened, address)
    opened.run("document.querySelector('.stage').scrollIntoView({block: 'center'})")
    before = scale(opened.view()["transforms"][0])
    box = opened.run("const b = document.querySelector('.stage').getBoundingClientRect();"
                     "return [b.left + b.width / 2, b.top + b.height / 2]")  # fmt: skip
    for kind, apart in (("Start", 20), ("Move", 30), ("Move", 60), ("End", None)):
        points = [] if apart is None else [
            {"x": box[0] + apart, "y": box[1], "id": 0}, {"x": box[0] - apart, "y": box[1], "id": 1}
        ]  # fmt: skip
        event = {"type": f"touch{kind}", "touchPoints": points}
        opened.driver.execute_cdp_cmd("Input.dispatchTouchEvent", event)
    after = opened.view()["transforms"]
    assert len(set(after)) == 1
    assert scale(after[0]) == pytest.approx(3 * before, rel=0.25)


# ---- what is shown


def test_codecs_and_rates_from_lists(opened: Any):
    labels = opened.view()["labels"]
    assert labels[0] == "Original" and labels[1].startswith("lictor-test, a label · ")
    rate = float(re.search(r"([\d.]+) bpp", labels[1])[1])  # type: ignore[index]
    pick(opened, "#left-codec", "jpeg")
    left, right = opened.view()["labels"]
    assert left.startswith("jpeg, a label · ") and right == labels[1]
    options = [o.text for o in Select(opened.find("#left-rate")).options]
    rates = [float(o.split()[0]) for o in options]
    nearest = min(rates, key=lambda r: abs(np.log(r / rate)))
    assert f"{nearest:.3f} bpp" in left
    pick(opened, "#left-rate", options[-1])
    assert f"{rates[-1]:.3f} bpp" in opened.view()["labels"][0]
    assert len(set(opened.view()["sources"])) == 2


def test_pixels_and_residual_are_exact(opened: Any, results_folder: Path):
    results = json.loads((results_folder / "results.json").read_text())
    name = Select(opened.find("#picture")).first_selected_option.text.rsplit(" (", 1)[0]
    pick(opened, "#left-codec", "jpeg")
    label = opened.view()["labels"][0]
    (row,) = [
        r for r in results["rows"]
        if r["image"] == name and r["codec"] == "jpeg" and f"{r['bpp']:.3f} bpp" in label
    ]  # fmt: skip
    (image,) = [i for i in results["images"] if i["name"] == name]
    decoded, original = (
        np.asarray(Image.open(results_folder / path)).astype(int)
        for path in (row["decoded"], image["file"])
    )
    shape = (*decoded.shape[:2], 4)
    shown = np.array(opened.pixels(".layer.left img")).reshape(shape)
    np.testing.assert_array_equal(shown[:, :, :3], decoded)
    opened.all(".tools button")[3].click()
    opened.wait("!document.querySelector('.layer.left canvas').hidden")
    residual = np.array(opened.pixels(".layer.left canvas")).reshape(shape)
    expected = np.clip(128 + 8 * (decoded - original), 0, 255)
    np.testing.assert_array_equal(residual[:, :, :3], expected)
    opened.find(".stage").send_keys("r")
    opened.wait("document.querySelector('.layer.left canvas').hidden")


def test_other_pictures(opened: Any):
    names = [o.text for o in Select(opened.find("#picture")).options]
    assert len(names) == 3
    before = opened.view()["sources"]
    assert not opened.find("#previous").is_enabled()
    opened.find("#next").click()
    opened.wait(f"document.querySelector('.stage img').src !== {json.dumps(before[0])}")
    assert Select(opened.find("#picture")).first_selected_option.text == names[1]


def test_names_are_text(opened: Any):
    assert EVIL in opened.find("#images").get_attribute("textContent")
    assert EVIL in opened.find("#picture").text
    assert opened.all("img[src='x']") == []
    assert "webp </script>, a label" in opened.find("#codec-chips").text


# ---- plots and tables


def test_metrics_axes_and_codecs(opened: Any):
    axis = "document.querySelector('#rd-plot').layout"
    assert opened.run(f"return {axis}.yaxis.title.text") == "PSNR, dB"
    opened.find("#metrics [data-key=ms_ssim]").click()
    assert opened.run(f"return {axis}.yaxis.title.text").startswith("MS-SSIM, dB")
    assert not opened.all("#metrics [data-key=lpips]")  # it was not measured
    opened.find("#axes [data-key=log]").click()
    assert opened.run(f"return {axis}.xaxis.type") == "log"
    lines = "document.querySelectorAll('#rd-plot .scatterlayer .trace').length"
    before = opened.run(f"return {lines}")
    chip = opened.all("#codec-chips button")[0]
    chip.click()
    assert chip.get_attribute("aria-pressed") == "false"
    opened.wait(f"{lines} === {before - 1}")
    chip.send_keys(Keys.ENTER)
    opened.wait(f"{lines} === {before}")


def test_rates_sort(opened: Any):
    def column() -> list[str]:
        return [cell.text for cell in opened.all("#rate-table tbody td:nth-child(2)")]

    assert column() == ["−12.3", "0.0", "+5.0"]
    opened.all("#rate-table thead button")[1].click()
    assert column() == ["+5.0", "0.0", "−12.3"]
    rows = opened.all("#published-table tbody tr")
    assert [r.get_attribute("textContent") for r in rows] == ["old+50.0a paper"]
    assert "jpeg, a label (the anchor)" in opened.find("#rates-about").text


def test_what_was_run_and_what_was_left_out(opened: Any):
    assert opened.find("#command").text == "lictor bench pictures/ --out results"
    assert [item.text for item in opened.all("#skipped li")] == [
        "vtm: EncoderApp is not on PATH",
        f"{EVIL}, jpeg, a label, 5: too few bits",
    ]


def test_classifier_is_shown_where_one_looked(opened: Any):
    assert [b.text for b in opened.all("#task-metrics button")] == ["Agreement"]
    assert len(opened.all("#task-plot .scatterlayer .trace")) == 3


def test_point_of_the_plot_shows_its_picture(opened: Any):
    opened.run(
        "const plot = document.querySelector('#rd-plot');"
        "const trace = plot.data.find((t) => t.name?.startsWith('jpeg'));"
        "plot.emit('plotly_click', {points: [{customdata: trace.customdata[2]}]})"
    )
    opened.wait("document.querySelector('output.right').textContent.startsWith('jpeg')")


# ---- light, dark, and phones


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", [PHONE, (1200, 900)])
def test_light_dark_and_phones(
    opened: Any, address: str, dark: bool, size: tuple[int, int], tmp_path: Path
):
    opened.look(size, dark=dark, touch=size == PHONE)
    show(opened, address)
    assert opened.width() <= size[0]
    opened.screenshot(tmp_path / "report.png")
    first = opened.background()
    lightness = sum(map(int, re.findall(r"\d+", first)))
    assert lightness < 120 if dark else lightness > 700
    opened.find("#theme").click()
    assert opened.background() != first
    opened.find("#theme").click()
    assert opened.background() == first


def test_everything_can_be_reached_by_keyboard(opened: Any):
    unnamed = opened.run(
        "return [...document.querySelectorAll('button, select, [tabindex]')].filter((e) =>"
        " !e.textContent.trim() && !e.getAttribute('aria-label')).map((e) => e.outerHTML)"
    )
    assert unnamed == []
    opened.run("document.querySelector('#metrics button').focus()")
    ActionChains(opened.driver).send_keys(Keys.ARROW_RIGHT).perform()
    assert opened.find("#metrics [data-key=ms_ssim]").get_attribute("aria-selected") == "true"
