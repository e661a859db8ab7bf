"""A real browser: headless Chromium, driven by Selenium. .ci/apt.sh installs it."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

WIDE = (1200, 900)
LOCAL = ("file:", "data:", "blob:", "about:", "chrome:")


@pytest.fixture(scope="session")
def chromium() -> Iterator[webdriver.Chrome]:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not browser or not driver:
        missing = "needs chromium and chromedriver on PATH; run .ci/apt.sh"
        if os.environ.get("CI_BROWSER") == "required":
            pytest.fail(missing)
        pytest.skip(missing)
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(options=options, service=Service(driver)) as opened:
        opened.set_page_load_timeout(120)
        yield opened


class Page:
    """A page in the browser, and what tests ask of it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        driver.get("about:blank")
        driver.get_log("browser")
        driver.get_log("performance")
        self.look()

    def look(self, size: tuple[int, int] = WIDE, dark: bool = False, touch: bool = False) -> None:
        width, height = size
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        for command, arguments in (
            ("Emulation.setDeviceMetricsOverride", screen),
            ("Emulation.setTouchEmulationEnabled", {"enabled": touch}),
            ("Emulation.setEmulatedMedia", {"features": [scheme]}),
        ):
            self.driver.execute_cdp_cmd(command, arguments)

    def open(self, url: str) -> None:
        self.driver.get(url)

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, script: str) -> Any:
        """Until the expression is true; its value."""
        return WebDriverWait(self.driver, 30).until(lambda _: self.run(f"return {script}"))

    def background(self) -> str:
        return str(self.run("return getComputedStyle(document.body).backgroundColor"))

    def width(self) -> int:
        """How wide the page is, in pixels, what must be scrolled to included."""
        return int(self.run("return document.documentElement.scrollWidth"))

    def screenshot(self, path: Path) -> None:
        size = self.run("return [innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
        shot = self.driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
        )
        path.write_bytes(base64.b64decode(shot["data"]))

    # ---- the viewer

    def view(self) -> dict[str, Any]:
        """Where both pictures of the viewer are, and what is cut off them."""
        return self.run(
            "const of = (s) => [...document.querySelectorAll(s)];"
            "return {transforms: of('.stage img').map((i) => i.style.transform),"
            " clips: of('.stage .layer').map((l) => l.style.clipPath),"
            " labels: of('.stage output').map((o) => o.textContent),"
            " sources: of('.stage img').map((i) => i.src),"
            " zoom: document.querySelector('.zoom').textContent,"
            " rendering: of('.stage img').map((i) => getComputedStyle(i).imageRendering)}"
        )

    def pixels(self, selector: str) -> list[int]:
        """RGBA of an image or a canvas, row by row."""
        return self.run(
            "const e = document.querySelector(arguments[0]);"
            "const c = document.createElement('canvas');"
            "c.width = e.naturalWidth || e.width; c.height = e.naturalHeight || e.height;"
            "const d = c.getContext('2d'); d.drawImage(e, 0, 0);"
            "return Array.from(d.getImageData(0, 0, c.width, c.height).data)",
            selector,
        )

    # ---- what it did

    def faults(self) -> list[str]:
        """What it wrote to the console."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses it asked for that are not local files or its own data."""
        events = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        sent = [e for e in events if e["method"] == "Network.requestWillBeSent"]
        urls = [e["params"]["request"]["url"] for e in sent]
        return [url for url in urls if not url.startswith(LOCAL)]


@pytest.fixture
def page(chromium: webdriver.Chrome) -> Page:
    return Page(chromium)
