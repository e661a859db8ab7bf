"""The page of web/ in a real browser: it decodes, encodes, and says what is wrong."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "bin"
SETTLED = "document.getElementById('status').hidden && document.getElementById('facts').innerText"
FAILED = "!document.getElementById('error').hidden && document.getElementById('error').innerText"
PIXELS = """
const done = arguments[arguments.length - 1];
const image = document.getElementById('picture').shadowRoot.querySelector('img');
const canvas = document.createElement('canvas');
[canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
const context = canvas.getContext('2d');
context.drawImage(image, 0, 0);
done([...context.getImageData(0, 0, canvas.width, canvas.height).data]);
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The repository on a plain web server."""
    handler = functools.partial(Quiet, directory=str(ROOT))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def shown(page: Any) -> np.ndarray:
    """What the page shows, RGBA."""
    values = np.array(page.driver.execute_async_script(PIXELS), np.int16)
    sides = page.run(
        "const i = document.getElementById('picture'); return [i.naturalHeight, i.naturalWidth]"
    )
    return values.reshape(*sides, 4)


@pytest.mark.parametrize("name", ["blocks", "lossless", "gray-alpha", "metadata"])
def test_what_it_shows_is_what_python_decodes(page: Any, address: str, name: str):
    page.open(f"{address}/web/index.html?src={address}/tests/golden/bin/{name}.bin")
    assert "bits per pixel" in page.wait(SETTLED)
    with Image.open(GOLDEN / f"{name}.png") as picture:
        wanted = np.asarray(picture.convert("RGBA"))
    found, solid = shown(page), wanted[:, :, 3] == 255  # of the others a canvas rounds colours
    np.testing.assert_array_equal(found[:, :, 3], wanted[:, :, 3])
    assert np.abs(found[solid] - wanted[solid]).max() <= 1
    assert {url for url in page.requests() if not url.startswith(address)} == set()
    assert page.faults() == []


def test_it_encodes_a_photo(page: Any, address: str, tmp_path: Path):
    with Image.open(GOLDEN / "rgb-q99.75.png") as picture:
        picture.convert("RGB").save(tmp_path / "a photo.png")
    page.open(f"{address}/web/index.html")
    page.find("#file").send_keys(str(tmp_path / "a photo.png"))
    facts = page.wait(SETTLED)
    assert "lictor-s.mse" in facts and "Encoded in" in facts
    name = page.run("return document.getElementById('keep').download")
    assert name == "a photo.bin"
    with Image.open(GOLDEN / "rgb-q99.75.png") as picture:
        assert np.abs(shown(page)[:, :, :3] - np.asarray(picture)).mean() < 12


def test_it_says_what_is_wrong(page: Any, address: str, tmp_path: Path):
    data = (GOLDEN / "rgb-q50.bin").read_bytes()
    (tmp_path / "cut.bin").write_bytes(data[:-9])
    page.open(f"{address}/web/index.html")
    page.find("#file").send_keys(str(tmp_path / "cut.bin"))
    assert "get a complete copy of it" in page.wait(FAILED)
    (tmp_path / "other.bin").write_bytes(b"\x89PNG")
    page.find("#file").send_keys(str(tmp_path / "other.bin"))
    page.wait("document.getElementById('error').innerText.includes('not a Lictor file')")
    assert not page.find("#result").is_displayed()
