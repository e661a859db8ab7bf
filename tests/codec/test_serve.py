"""The server of `lictor serve`: what it answers, and how it ends."""

from __future__ import annotations

import base64
import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from lictor.codec import api
from lictor.codec.cli.main import cli
from lictor.codec.cli.options import Size
from lictor.codec.image.pillow import Picture
from lictor.codec.picture import encode as encoding
from lictor.codec.report.server import create_app
from lictor.models.quality import Quality

FAKE = [sys.executable, str(Path(__file__).parent / "fake.py")]
MAX_UPLOAD = 200_000
MAX_PIXELS = 100_000


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    return create_app("fake.pixels", MAX_UPLOAD, MAX_PIXELS).test_client()


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def pixels_of(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def refused(answer: Any, status: int, reason: str) -> None:
    assert answer.status_code == status
    assert list(answer.json) == ["error"]
    assert reason in answer.json["error"] and "\n" not in answer.json["error"]


def test_picture(client: Any, photo: np.ndarray):
    answer = client.post("/api/open", data=png(photo)).json
    assert (answer["width"], answer["height"], answer["channels"]) == (45, 31, 3)
    assert "coded" not in answer
    np.testing.assert_array_equal(pixels_of(answer["picture"]), photo)


def test_encode(client: Any, photo: np.ndarray):
    answer = client.post("/api/encode?quality=40", data=png(photo)).json
    file = base64.b64decode(answer["file"])
    assert file == api.encode(photo, quality=40, model="fake.pixels")
    decoded = np.asarray(api.decode(file))
    np.testing.assert_array_equal(pixels_of(answer["picture"]), decoded)
    assert answer["bytes"] == len(file)
    assert answer["bpp"] == 8 * len(file) / (45 * 31)
    assert answer["psnr"] == pytest.approx(api.psnr(photo, decoded))
    lossless = client.post("/api/encode?quality=100", data=png(photo)).json
    assert lossless["psnr"] is None


def test_bin(client: Any, fake: ModuleType, photo: np.ndarray):
    file = encoding.encode(Picture(photo), Quality(400), fake.network())
    answer = client.post("/api/open", data=file).json
    assert answer["coded"]["quality"] == 100 and answer["coded"]["model"] == "fake.pixels"
    np.testing.assert_array_equal(pixels_of(answer["picture"]), photo)


def test_alpha_and_16_bits_are_shown(client: Any, photo: np.ndarray):
    alpha = np.arange(31 * 45, dtype=np.uint8).reshape(31, 45, 1)
    answer = client.post("/api/open", data=png(np.dstack([photo, alpha]))).json
    assert pixels_of(answer["picture"]).shape == (31, 45, 4)
    deep = np.arange(31 * 45, dtype=np.uint16).reshape(31, 45) * 40
    answer = client.post("/api/open", data=png(deep)).json
    assert answer["bit_depth"] == 16
    assert pixels_of(answer["picture"]).dtype == np.uint8


@pytest.mark.parametrize("body", [b"", b"hello", b"\x89PNG\r\n\x1a\n"])
def test_not_a_picture(client: Any, body: bytes):
    for path in ("/api/open", "/api/encode?quality=1"):
        refused(client.post(path, data=body), 422, "picture")


def test_damaged_bin(client: Any, fake: ModuleType, photo: np.ndarray):
    file = encoding.encode(Picture(photo), Quality(400), fake.network())
    refused(client.post("/api/open", data=file[:-9]), 422, "ends")
    refused(client.post("/api/open", data=b"LIC\xff" + file[4:]), 422, "version")


@pytest.mark.parametrize("quality", ["", "101", "nan", "x"])
def test_bad_quality(client: Any, photo: np.ndarray, quality: str):
    answer = client.post(f"/api/encode?quality={quality}", data=png(photo))
    refused(answer, 422, "give a number from 0 to 100")


def test_too_large(client: Any, fake: ModuleType):
    refused(client.post("/api/open", data=b"x" * (MAX_UPLOAD + 1)), 413, "more than 0.2 MB")
    large = np.zeros((400, 300, 3), np.uint8)
    refused(client.post("/api/open", data=png(large)), 422, "more than 100000 pixels")
    refused(client.post("/api/encode?quality=1", data=png(large)), 422, "more than 100000 pixels")
    file = encoding.encode(Picture(large), Quality(0), fake.network())
    refused(client.post("/api/open", data=file), 422, "more than 100000 pixels")


def test_strangers(client: Any, photo: np.ndarray):
    refused(client.get("/", headers={"Host": "evil.example"}), 400, "Bad Request")
    cross = {"Sec-Fetch-Site": "cross-site"}
    refused(client.post("/api/open", data=png(photo), headers=cross), 403, "another site")
    for host in ("localhost", "127.0.0.1:7860"):
        assert client.get("/", headers={"Host": host}).status_code == 200
    refused(client.get("/etc/passwd"), 404, "Not Found")
    refused(client.get("/api/open"), 405, "Method Not Allowed")


def test_page_names_its_limits(client: Any):
    answer = client.get("/")
    assert f'"most":{MAX_UPLOAD}' in answer.text and "fake.pixels" in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "://" not in re.sub(r"<script.*?</script>", "", answer.text, flags=re.DOTALL)


def test_several_at_once(client: Any, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    threads = set()
    encode = api.encode

    def watched(*arguments: Any, **options: Any) -> bytes:
        threads.add(threading.get_ident())
        return encode(*arguments, **options)

    monkeypatch.setattr(api, "encode", watched)
    qualities = [10, 40, 70, 100] * 3

    def ask(quality: int) -> dict:
        own = client.application.test_client()
        return own.post(f"/api/encode?quality={quality}", data=png(photo)).json

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(ask, qualities))
    assert [a["quality"] for a in answers] == qualities
    for answer in answers:
        expected = encode(photo, quality=answer["quality"], model="fake.pixels")
        assert base64.b64decode(answer["file"]) == expected
    assert len(threads) == 1


# ---- the command


@contextmanager
def serving(*options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, and its address."""
    command = [*FAKE, "serve", "--port", "0", "--model", "fake.pixels", *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(
        command, text=True, env={**os.environ, **environment}, **pipes
    ) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_it_at_once(number: int, status: int, photo: np.ndarray):
    with serving() as (process, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        request = urllib.request.Request(f"{address}api/open", data=png(photo))
        assert urllib.request.urlopen(request, timeout=60).status == 200
        # One request hangs in the middle of its body while the signal comes.
        host, port = re.findall(r"//(.*):(\d+)/", address)[0]
        with socket.create_connection((host, int(port))) as half:
            half.sendall(
                b"POST /api/open HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc"
            )
            process.send_signal(number)
            assert process.wait(timeout=20) == status
        assert "Traceback" not in process.stderr.read()


def test_port_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*FAKE, "serve", "--port", port, "--model", "fake.pixels"],
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"lictor serve: cannot listen on 127.0.0.1:{port}: ")
    assert done.stderr.count("\n") == 1


def lictor(*args: str) -> Any:
    return CliRunner().invoke(cli, args, prog_name="lictor")


def test_extra_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "flask", None)
    result = lictor("serve", "--model", "fake.pixels")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "pip install 'lictor[serve]'" in result.stderr


def test_unknown_model():
    result = lictor("serve", "--model", "nothing")
    assert result.exit_code == 2
    assert "unknown model 'nothing'" in result.stderr


@pytest.mark.parametrize(
    "text, size",
    [("40MB", 40_000_000), ("1.5 kB", 1500), ("12", 12), ("2G", 2_000_000_000), ("16KiB", 16384)],
)
def test_sizes(text: str, size: int):
    assert Size().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "MB", "-1", "4 cows", "0"])
def test_bad_sizes(text: str):
    result = lictor("serve", "--max-upload", text)
    assert result.exit_code == 2
    assert "write one like 40MB" in result.stderr
