"""Standard streams that are closed or full, and pipes among the files: whole processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from lictor.codec.image.pillow import Picture
from lictor.codec.picture import encode as encoding
from lictor.models.quality import Quality

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a POSIX shell closes streams")
full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")

REAL = f"{sys.executable} -m lictor.codec"
FAKE = f"{sys.executable} {Path(__file__).parent / 'fake.py'}"
MODEL = "--model fake.pixels"


@pytest.fixture(autouse=True)
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo: np.ndarray, fake: ModuleType
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo).save("a.png")
    Path("a.bin").write_bytes(encoding.encode(Picture(photo), Quality(200), fake.network()))


def shell(command: str) -> subprocess.CompletedProcess[str]:
    """Without Python's own buffers of the streams, and never for ever."""
    return subprocess.run(command, shell=True, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    "command, reason",
    [
        ("info a.bin >&-", "cannot write standard output: it is closed"),
        ("models --json >&- <&-", "cannot write standard output: it is closed"),
        ("--version >&-", "cannot write standard output: it is closed"),
        ("info - <&-", "-: cannot be read: standard input is closed"),
        ("decode - out.png <&- >&-", "-: cannot be read: standard input is closed"),
        pytest.param("info a.bin >/dev/full", "No space left on device", marks=full),
        pytest.param("info --json a.bin a.bin >/dev/full", "No space left", marks=full),
        pytest.param("--help >/dev/full", "No space left on device", marks=full),
    ],
)
def test_what_was_asked_for_cannot_be_had(command: str, reason: str):
    result = shell(f"{REAL} {command}")
    assert result.returncode == 1, result.stderr
    assert result.stderr.startswith("lictor: ") and reason in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("streams", ["2>&-", "<&- 2>&-", pytest.param("2>/dev/full", marks=full)])
def test_who_does_not_listen_is_not_told(streams: str):
    result = shell(f"{REAL} info a.bin {streams}")
    assert result.returncode == 0 and result.stdout.startswith("a.bin: 45x31")
    assert shell(f"{REAL} info none.bin {streams}").returncode == 2
    Path("b.bin").write_text("hello")
    assert shell(f"{REAL} info b.bin {streams}").returncode == 1


def test_no_stream_at_all(photo: np.ndarray):
    """No file gets the number of a stream, in workers neither."""
    result = shell(f"{FAKE} encode a.png one.bin {MODEL} <&- >&- 2>&-")
    assert result.returncode == 0 and Path("one.bin").read_bytes() == Path("a.bin").read_bytes()
    Image.fromarray(photo).save("b.png")
    result = shell(f"{FAKE} encode a.png b.png out -j 2 {MODEL} <&- >&- 2>&-")
    assert result.returncode == 0
    for name in ("a", "b"):
        assert Path("out", f"{name}.bin").read_bytes() == Path("a.bin").read_bytes()


@pytest.mark.parametrize("streams", [">&-", pytest.param(">/dev/full", marks=full)])
def test_the_file_itself_cannot_be_written(streams: str):
    result = shell(f"{FAKE} encode a.png - {MODEL} {streams}")
    assert result.returncode == 1
    assert result.stderr.startswith("lictor: a.png: cannot write standard output: ")
    assert result.stderr.count("\n") == 1
    result = shell(f"{FAKE} encode a.png b.bin --json {MODEL} {streams}")
    assert result.returncode == 1 and result.stderr.count("\n") == 1


# ---- pipes


def feed(name: str, data: bytes) -> None:
    """Make a pipe that somebody writes into."""
    os.mkfifo(name)
    threading.Thread(target=lambda: Path(name).write_bytes(data), daemon=True).start()


def test_pipes_in_folders_are_passed_over(photo: np.ndarray):
    Path("in").mkdir()
    os.mkfifo("in/x.png")
    Image.fromarray(photo).save("in/y.png")
    result = shell(f"{FAKE} encode in out {MODEL}")
    assert result.returncode == 0 and os.listdir("out") == ["y.bin"]
    assert "lictor: in/x.png: is a pipe or a device, passed over" in result.stderr
    os.unlink("in/y.png")
    result = shell(f"{REAL} encode in out")
    assert result.returncode == 2 and "holds no pictures" in result.stderr


def test_pipes_that_are_named_are_read():
    """Whole and once: nobody can look into them before."""
    feed("x.png", Path("a.png").read_bytes())
    assert shell(f"{FAKE} encode x.png b.bin {MODEL}").returncode == 0
    assert Path("b.bin").read_bytes() == Path("a.bin").read_bytes()
    feed("x.bin", Path("a.bin").read_bytes())
    result = shell(f"{FAKE} decode x.bin out/")
    assert result.returncode == 0, result.stderr
    with Image.open("out/x.png") as picture:
        assert picture.size == (45, 31)
