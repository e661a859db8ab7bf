"""The page of `lictor serve` in a real browser, with a server in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from lictor.codec import api

pytestmark = pytest.mark.slow

FAKE = [sys.executable, str(Path(__file__).parent.parent / "fake.py")]
REFUSED = "the server responded with a status of 422"
"""What the console says of each answer that is an error; such are expected of bad files."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    options = ("--port", "0", "--model", "fake.pixels", "--max-upload", "100kB")
    command = [*FAKE, "serve", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip()  # type: ignore[union-attr]
        finally:
            process.kill()


@pytest.fixture
def opened(page: Any, address: str) -> Iterator[Any]:
    page.open(address)
    yield page
    assert [fault for fault in page.faults() if REFUSED not in fault] == []
    assert {url for url in page.requests() if not url.startswith(address)} == set()


@pytest.fixture
def a_png(photo: np.ndarray, tmp_path: Path) -> Path:
    Image.fromarray(photo).save(tmp_path / "a photo.png")
    return tmp_path / "a photo.png"


def give(page: Any, path: Path) -> None:
    page.find("#file").send_keys(str(path))


def settled(page: Any, quality: int) -> str:
    """Wait for the picture at this quality; its label."""
    page.wait(
        f"document.querySelector('output.right').textContent.startsWith('quality {quality} ')"
        " && !document.body.classList.contains('waiting')"
    )
    return page.view()["labels"][1]


def test_picture_and_quality(opened: Any, a_png: Path, photo: np.ndarray):
    give(opened, a_png)
    first = settled(opened, 40)
    assert "a photo.png: 45×31 RGB, 8 bits" in opened.find("#about").text
    expected = api.encode(photo, quality=40, model="fake.pixels")
    assert f"{8 * len(expected) / (45 * 31):.3f} bpp" in first
    decoded = np.asarray(api.decode(expected))
    assert f"{api.psnr(photo, decoded):.2f} dB" in first
    shown = np.array(opened.pixels(".layer.right img")).reshape(31, 45, 4)
    np.testing.assert_array_equal(shown[:, :, :3], decoded)
    left = np.array(opened.pixels(".layer.left img")).reshape(31, 45, 4)
    np.testing.assert_array_equal(left[:, :, :3], photo)
    assert opened.find("#download").get_attribute("download") == "a photo.bin"

    opened.find("#quality").send_keys(*[Keys.ARROW_RIGHT] * 5)
    second = settled(opened, 45)
    assert second != first
    assert opened.find("#chosen").text == "45"
    opened.find("#quality").send_keys(Keys.END)
    assert settled(opened, 100).endswith("lossless")


def test_bin_is_shown(opened: Any, a_png: Path, photo: np.ndarray, tmp_path: Path):
    (tmp_path / "coded.bin").write_bytes(api.encode(photo, quality=100, model="fake.pixels"))
    give(opened, tmp_path / "coded.bin")
    opened.wait("document.querySelector('output.left').textContent.startsWith('coded.bin')")
    assert "quality 100" in opened.view()["labels"][0]
    shown = np.array(opened.pixels(".layer.left img")).reshape(31, 45, 4)
    np.testing.assert_array_equal(shown[:, :, :3], photo)
    assert not opened.find(".divider").is_displayed()
    assert not opened.find("#quality").is_enabled()
    assert not opened.find("#download").is_displayed()
    give(opened, a_png)  # and back to pictures
    settled(opened, 100)
    assert opened.find(".divider").is_displayed()
    assert opened.find("#quality").is_enabled() and opened.find("#download").is_displayed()


def test_download_is_the_file(opened: Any, a_png: Path, photo: np.ndarray, tmp_path: Path):
    allow = {"behavior": "allow", "downloadPath": str(tmp_path)}
    opened.driver.execute_cdp_cmd("Browser.setDownloadBehavior", allow)
    give(opened, a_png)
    settled(opened, 40)
    opened.find("#download").click()
    saved = tmp_path / "a photo.bin"
    WebDriverWait(opened.driver, 30).until(lambda _: saved.exists())
    assert saved.read_bytes() == api.encode(photo, quality=40, model="fake.pixels")


@pytest.mark.parametrize(
    "name, content, reason",
    [
        ("notes.txt", b"hello", "not a picture that can be read"),
        ("<b>.bin", b"LIC\x01", "end"),
        ("large.png", b"x" * 100_001, "give a smaller one, or start lictor serve"),
    ],
)
def test_bad_files(opened: Any, tmp_path: Path, name: str, content: bytes, reason: str):
    (tmp_path / name).write_bytes(content)
    give(opened, tmp_path / name)
    opened.wait("!document.querySelector('#error').hidden")
    text = opened.find("#error").text
    assert text.startswith(f"{name}: ") and reason in text


def test_dropped_file(opened: Any, a_png: Path):
    opened.run(
        "const bytes = Uint8Array.from(arguments[0]);"
        "const transfer = new DataTransfer();"
        "transfer.items.add(new File([bytes], 'dropped.png', {type: 'image/png'}));"
        "document.body.dispatchEvent(new DragEvent('drop',"
        " {dataTransfer: transfer, bubbles: true, cancelable: true}))",
        list(a_png.read_bytes()),
    )
    settled(opened, 40)
    assert "dropped.png" in opened.find("#about").text


@pytest.mark.parametrize("dark", [False, True])
def test_phone(opened: Any, address: str, a_png: Path, dark: bool, tmp_path: Path):
    opened.look((360, 740), dark=dark, touch=True)
    opened.open(address)
    give(opened, a_png)
    settled(opened, 40)
    assert opened.width() <= 360
    opened.screenshot(tmp_path / "serve.png")
    lightness = sum(map(int, re.findall(r"\d+", opened.background())))
    assert lightness < 120 if dark else lightness > 700
