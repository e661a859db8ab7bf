"""Whole processes: pipes, signals, limits, and what start-up costs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from lictor.codec.image import pillow
from lictor.codec.image.pillow import Picture
from lictor.codec.picture import encode as encoding
from lictor.models.quality import Quality

FAKE = [sys.executable, str(Path(__file__).parent / "fake.py")]
REAL = [sys.executable, "-m", "lictor.codec"]
MODEL = ["--model", "fake.pixels"]

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and limits")


@pytest.fixture
def a_png(photo: np.ndarray, tmp_path: Path) -> Path:
    Image.fromarray(photo).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.fixture
def a_bin(photo: np.ndarray, fake: ModuleType, tmp_path: Path) -> Path:
    (tmp_path / "a.bin").write_bytes(encoding.encode(Picture(photo), Quality(400), fake.network()))
    return tmp_path / "a.bin"


def run(command: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, capture_output=True, timeout=120, **options)  # type: ignore[call-overload]


@contextmanager
def started(command: list[str], **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """A running process with pipes; killed at the end if it still runs."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, **options) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


def test_pipe_through_two_processes(a_png: Path, photo: np.ndarray):
    encoded = run([*FAKE, "encode", "-", "-", "-q", "100", *MODEL], input=a_png.read_bytes())
    assert encoded.returncode == 0, encoded.stderr
    threads = {**os.environ, "OMP_NUM_THREADS": "2"}
    decoded = run([*FAKE, "decode", "-", "-"], input=encoded.stdout, env=threads)
    assert decoded.returncode == 0, decoded.stderr
    np.testing.assert_array_equal(pillow.read(decoded.stdout).pixels, photo)
    assert decoded.stderr.count(b"\n") == 1


@posix
@pytest.mark.parametrize("number, status", [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("command", ["encode", "decode"])
def test_interrupted(
    a_png: Path, a_bin: Path, tmp_path: Path, command: str, number: str, status: int
):
    source, target = (a_png, "out.bin") if command == "encode" else (a_bin, "out.png")
    output = tmp_path / "out" / target
    output.parent.mkdir()
    output.write_bytes(b"before")
    args = [command, str(source), str(output), *(MODEL if command == "encode" else [])]
    with started([*FAKE, *args], env={**os.environ, "PAUSE": "1"}) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"paused ")
        assert len(os.listdir(output.parent)) == 2  # the temporary file is there, complete
        process.send_signal(getattr(signal, number))
        _, errors = process.communicate(timeout=30)
        assert process.returncode == status
    assert b"Traceback" not in errors
    assert os.listdir(output.parent) == [target]
    assert output.read_bytes() == b"before"


@posix
def test_disk_limit(a_png: Path, tmp_path: Path):
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    output = tmp_path / "out.bin"
    result = run([*FAKE, "encode", str(a_png), str(output), "-q", "100", *MODEL], preexec_fn=limit)
    assert result.returncode == 1
    expected = f"lictor: {a_png}: cannot write {output}: File too large\n"
    assert result.stderr.decode() == expected
    assert sorted(os.listdir(tmp_path)) == ["a.png"]


@posix
def test_reader_of_the_output_goes_away(a_bin: Path):
    with started([*REAL, "info", "--json", *[str(a_bin)] * 3000]) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 1


def test_user_errors_show_no_traceback(tmp_path: Path):
    (tmp_path / "a.bin").write_text("hello")
    result = run([*REAL, "info", str(tmp_path / "a.bin")])
    assert result.returncode == 1
    assert result.stderr.decode().startswith(f"lictor: {tmp_path}/a.bin: not a Lictor file")
    assert result.stderr.count(b"\n") == 1


@pytest.mark.parametrize("args", [["--help"], ["encode", "--help"], ["info"], ["models"]])
def test_start_up_imports_no_array_libraries(args: list[str], a_bin: Path):
    if args == ["info"]:
        args = ["info", str(a_bin)]
    code = (
        "import sys\n"
        "from lictor.codec.cli.main import cli\n"
        "try: cli.main(sys.argv[1:])\n"
        "except SystemExit as e: assert e.code == 0, e.code\n"
        "heavy = {'torch', 'numpy', 'PIL', 'tqdm', 'safetensors'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = run([sys.executable, "-c", code, *args])
    assert result.returncode == 0, result.stderr
