"""Many files at once: workers that are killed, disks that are full, interrupts, and going on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from lictor.codec.cli.main import cli
from lictor.codec.format import picture as bitstream
from lictor.codec.image import pillow
from lictor.codec.picture import encode as encoding
from lictor.models import zoo
from lictor.models.quality import Quality

FAKE = [sys.executable, str(Path(__file__).parent / "fake.py")]
REAL = [sys.executable, "-m", "lictor.codec"]
MODEL = ["--model", "fake.pixels"]
STALLS = 37
"""A picture of this width never ends where STALL says so."""

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")


@pytest.fixture
def pictures(china: np.ndarray, tmp_path: Path) -> Path:
    """A folder of twelve small pictures, 00.png … 11.png."""
    return cut(china, tmp_path / "in", 12, 24)


@pytest.fixture
def coded(pictures: Path, fake: ModuleType, tmp_path: Path) -> Path:
    """Those pictures as .bin files of quality 100."""
    folder = tmp_path / "coded"
    folder.mkdir()
    for path in pictures.iterdir():
        data = encoding.encode(pillow.read(str(path)), Quality(400), fake.network())
        (folder / f"{path.stem}.bin").write_bytes(data)
    return folder


def cut(photo: np.ndarray, folder: Path, count: int, side: int) -> Path:
    folder.mkdir()
    for i in range(count):
        y, x = 7 * i % (427 - side), 23 * i % (640 - side)
        Image.fromarray(photo[y : y + side, x : x + side]).save(folder / f"{i:02}.png")
    return folder


@contextmanager
def started(command: list[str], **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A running process, the first of a session as in a terminal; all of it killed at the end."""
    with subprocess.Popen(
        [str(argument) for argument in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def told(process: subprocess.Popen[bytes], what: str) -> int:
    """Wait for a worker to say what it is doing; gives the worker's process."""
    assert process.stdout is not None
    word, pid = process.stdout.readline().decode().split()
    assert word == what
    return int(pid)


def end(process: subprocess.Popen[bytes]) -> tuple[int, list[str], list[str]]:
    """Exit status, lines of standard output, lines of standard error."""
    out, errors = process.communicate(timeout=120)
    assert b"Traceback" not in errors, errors.decode()
    lines = [line for line in errors.decode().splitlines() if line]  # click ends the line of ^C
    return process.returncode, out.decode().splitlines(), lines


def done(command: list[str], **environment: str) -> tuple[int, list[str], list[str]]:
    with started(command, **environment) as process:
        return end(process)


def names(folder: Path) -> list[str]:
    """Everything in a folder: nothing hides, temporary files neither."""
    return sorted(os.listdir(folder))


def assert_whole(folder: Path) -> None:
    for path in folder.iterdir():
        bitstream.read(memoryview(path.read_bytes()))


def wait_until(what: Callable[[], bool]) -> None:
    for _ in range(600):
        if what():
            return
        time.sleep(0.1)
    raise AssertionError("did not happen within a minute")


def alive(pid: int) -> bool:
    """A process that ended but was not waited for yet is a zombie, and not alive."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# ---- what workers give


def test_same_files_as_without_workers(pictures: Path, tmp_path: Path):
    alone = done([*FAKE, "encode", pictures, tmp_path / "a", *MODEL])
    several = done([*FAKE, "encode", pictures, tmp_path / "b", "-j", "2", "--json", *MODEL])
    assert alone[0] == several[0] == 0
    assert names(tmp_path / "a") == names(tmp_path / "b") == [f"{i:02}.bin" for i in range(12)]
    for name in names(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    rows = [json.loads(line) for line in several[1]]
    assert sorted(row["output"] for row in rows) == [
        str(tmp_path / "b" / name) for name in names(tmp_path / "b")
    ]
    assert several[2][-1].startswith("12 files: ") and " bpp, " in several[2][-1]


def test_decode_and_verify(pictures: Path, coded: Path, tmp_path: Path):
    status, _, errors = done([*FAKE, "decode", coded, tmp_path / "b", "-j", "2"])
    assert status == 0 and errors[-1].startswith("12 files: ")
    for name in names(pictures):
        with Image.open(pictures / name) as a, Image.open(tmp_path / "b" / name) as b:
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    status, out, _ = done([*FAKE, "verify", pictures, "-j", "2", "-q", "100", *MODEL])
    assert status == 0 and len(out) == 12 and all(": ok; " in line for line in out)


def test_bad_files_are_named(pictures: Path, tmp_path: Path):
    (pictures / "02.png").write_text("hello")
    data = (pictures / "05.png").read_bytes()
    (pictures / "05.png").write_bytes(data[: len(data) // 2])
    (pictures / "07.png").unlink()
    (pictures / "07.png").symlink_to("nowhere.png")
    status, out, errors = done(
        [*FAKE, "encode", pictures, tmp_path / "out", "-j", "2", "--json", *MODEL]
    )
    assert status == 1
    *errors, summary = errors
    for name, why in (
        ("02", "not a picture"),
        ("05", "ends early"),
        ("07", "cannot be read: No such"),
    ):
        assert any(f"lictor: {pictures}/{name}.png: " in e and why in e for e in errors), errors
    assert summary.startswith("9 files: ") and summary.endswith("; 3 failed")
    assert len(names(tmp_path / "out")) == 9
    assert len(out) == 12 and sum("error" in json.loads(line) for line in out) == 3


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_files_without_permission_are_named(pictures: Path, tmp_path: Path):
    (pictures / "03.png").chmod(0)
    status, _, errors = done([*FAKE, "encode", pictures, tmp_path / "out", "-j", "2", *MODEL])
    assert status == 1
    assert errors[0] == f"lictor: {pictures}/03.png: cannot be read: Permission denied"


def test_what_is_wrong_with_the_command_is_said_once(pictures: Path, tmp_path: Path):
    status, _, errors = done([*FAKE, "encode", pictures, tmp_path / "out", "-j", "2"])
    assert status == 2
    assert len(errors) == 1 and errors[0].startswith("lictor: unknown model 'lictor-s.vis'")


def test_workers_that_cannot_start(pictures: Path, tmp_path: Path):
    (tmp_path / "torch.py").write_text("import os\nos._exit(3)\n")
    status, _, errors = done(
        [*REAL, "encode", pictures, tmp_path / "out", "-j", "2"], PYTHONPATH=str(tmp_path)
    )
    assert status == 2
    assert errors == [
        "lictor: no worker process can start: the last one ended with status 3; try -j 1"
    ]


# ---- workers that are killed


@posix
@pytest.mark.slow
def test_killed_worker(pictures: Path, china: np.ndarray, tmp_path: Path):
    Image.fromarray(china[:10, :STALLS]).save(pictures / "04.png")
    out = tmp_path / "out"
    with started([*FAKE, "encode", pictures, out, "-j", "2", *MODEL], STALL=str(STALLS)) as process:
        os.kill(told(process, "stalled"), signal.SIGKILL)
        status, _, errors = end(process)
    assert status == 1
    assert errors[0].startswith(
        f"lictor: {pictures}/04.png: its worker process was killed (SIGKILL, often for want of mem"
    )
    assert errors[1].startswith("11 files: ") and errors[1].endswith("; 1 failed")
    assert names(out) == [f"{i:02}.bin" for i in range(12) if i != 4]
    assert_whole(out)
    status, _, errors = done([*FAKE, "encode", pictures, out, "-j", "2", "--skip-existing", *MODEL])
    assert status == 0 and errors[0].startswith("1 file: ") and errors[0].endswith("; 11 skipped")


@posix
@pytest.mark.slow
def test_worker_killed_while_it_writes_leaves_nothing(pictures: Path, tmp_path: Path):
    out = tmp_path / "out"
    with started([*FAKE, "encode", pictures, out, "-j", "2", *MODEL], PAUSE="06.bin") as process:
        worker = told(process, "paused")
        assert any(name.startswith(f".lictor-{worker}-") for name in names(out))
        os.kill(worker, signal.SIGKILL)
        status, _, errors = end(process)
    assert status == 1 and f"{pictures}/06.png" in errors[0]
    assert names(out) == [f"{i:02}.bin" for i in range(12) if i != 6]


@posix
@pytest.mark.slow
def test_every_worker_killed(pictures: Path, tmp_path: Path):
    out = tmp_path / "out"
    for path in sorted(pictures.iterdir())[4:]:
        path.unlink()
    with started([*FAKE, "encode", pictures, out, "-j", "2", *MODEL], PAUSE="1") as process:
        for _ in range(4):
            os.kill(told(process, "paused"), signal.SIGKILL)
        status, _, errors = end(process)
    assert status == 1 and names(out) == []
    assert len(errors) == 5 and errors[-1].startswith("0 files: ")


# ---- interrupts


@posix
@pytest.mark.parametrize(
    "number, status, to",
    [("SIGINT", 130, "all"), ("SIGTERM", 143, "command")],
)
@pytest.mark.slow
def test_interrupted_and_gone_on(pictures: Path, tmp_path: Path, number: str, status: int, to: str):
    """Ctrl-C reaches every process of a terminal, `kill` only one."""
    out = tmp_path / "out"
    encode = [*FAKE, "encode", pictures, out, "-j", "2", *MODEL]
    with started(encode, PAUSE="05.bin") as process:
        workers = [told(process, "paused")]
        wait_until(lambda: len(names(out)) == 12)  # all the others are done, and a temporary file
        (os.killpg if to == "all" else os.kill)(process.pid, getattr(signal, number))
        code, _, errors = end(process)
    assert code == status
    # The last of the files may just have been finished, and not been told of yet.
    assert re.match("1[01] files: .*; [12] not done; --skip-existing does the rest$", errors[0])
    assert errors[1:] == (["lictor: interrupted"] if status == 130 else [])
    assert names(out) == [f"{i:02}.bin" for i in range(12) if i != 5]
    assert_whole(out)
    assert not any(alive(pid) for pid in workers)
    code, _, errors = done([*encode, "--skip-existing"])
    assert code == 0 and errors[0].startswith("1 file: ") and errors[0].endswith("; 11 skipped")


@posix
@pytest.mark.slow
def test_workers_end_when_the_command_is_killed(pictures: Path, china: np.ndarray, tmp_path: Path):
    for i in range(12):
        Image.fromarray(china[i : i + 50, :600]).save(pictures / f"{i:02}.png")
    encode = [*FAKE, "encode", pictures, tmp_path / "out", "-j", "2", "--json", *MODEL]
    with started(encode) as process:
        assert process.stdout is not None
        process.stdout.readline()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        if not children.exists():
            pytest.skip("this system does not list the children of a process")
        workers = [int(pid) for pid in children.read_text().split()]
        assert len(workers) >= 2
        process.kill()
        process.wait()
        wait_until(lambda: not any(alive(pid) for pid in workers))


# ---- full disks


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_nothing_more_is_tried_on_a_full_disk(pictures: Path, tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir()
    for i in range(4, 12):
        (out / f"{i:02}.bin").symlink_to("/dev/full")
    status, _, errors = done([*FAKE, "encode", pictures, out, *MODEL])
    assert status == 1
    error, summary = errors
    assert error.endswith("04.bin: No space left on device")
    assert summary.startswith("4 files: ")
    assert summary.endswith("; 1 failed, 7 not done; --skip-existing does the rest")
    assert os.path.exists("/dev/full")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_disk_that_fills_up(china: np.ndarray, small_disk: Path, tmp_path: Path):
    pictures = cut(china, tmp_path / "in", 30, 100)
    encode = [*FAKE, "encode", pictures, small_disk / "out", "-q", "100", "-j", "2", *MODEL]
    status, _, errors = done(encode)
    assert status == 1
    *errors, summary = errors
    assert 1 <= len(errors) <= 2
    assert all(e.endswith("No space left on device") for e in errors)
    assert "failed" in summary and "not done" in summary
    finished = names(small_disk / "out")
    assert 1 <= len(finished) < 30 and all(name.endswith(".bin") for name in finished)
    assert_whole(small_disk / "out")
    remount = ["mount", "-o", "remount,size=4m", str(small_disk)]
    subprocess.run(remount, check=True)
    status, _, errors = done([*encode, "--skip-existing"])
    assert status == 0 and errors[-1].endswith(f"; {len(finished)} skipped")
    assert len(names(small_disk / "out")) == 30
    assert_whole(small_disk / "out")


# ---- what is skipped


def here(*arguments: object) -> tuple[int, list[str], list[str]]:
    """As `done`, within this process."""
    result = CliRunner().invoke(cli, list(map(str, arguments)), prog_name="lictor")
    return result.exit_code, result.stdout.splitlines(), result.stderr.splitlines()


def test_skips_only_what_is_whole(pictures: Path, coded: Path, tmp_path: Path):
    good = {name: (coded / name).read_bytes() for name in names(coded)}
    (coded / "01.bin").write_bytes(b"")
    (coded / "02.bin").write_bytes(bytes(len(good["02.bin"])))
    (coded / "03.bin").write_bytes(good["03.bin"][:-1])
    damaged = bytearray(good["04.bin"])
    damaged[-10] ^= 1
    (coded / "04.bin").write_bytes(damaged)
    encode = ["encode", pictures, coded, "-q", "100", "--skip-existing", "--json", *MODEL]
    status, rows, errors = here(*encode)
    assert status == 0
    assert errors[0].startswith("4 files: ") and errors[0].endswith("; 8 skipped")
    skipped = [row["input"] for row in map(json.loads, rows) if row.get("skipped")]
    assert skipped == [str(pictures / f"{i:02}.png") for i in range(12) if i not in (1, 2, 3, 4)]
    assert {name: (coded / name).read_bytes() for name in names(coded)} == good
    status, _, errors = here(*encode)
    assert status == 0 and errors[0].startswith("0 files: ") and errors[0].endswith("; 12 skipped")


def test_decode_skips_pictures(coded: Path, tmp_path: Path):
    decode = ["decode", coded, tmp_path / "b", "--skip-existing"]
    assert here(*decode)[0] == 0
    (tmp_path / "b" / "03.png").write_bytes(b"")
    (tmp_path / "b" / "05.png").unlink()
    status, _, errors = here(*decode)
    assert status == 0 and errors[0].startswith("2 files: ") and errors[0].endswith("; 10 skipped")


def test_one_file_is_skipped_too(pictures: Path, tmp_path: Path):
    encode = ["encode", pictures / "00.png", tmp_path / "a.bin", "--skip-existing", *MODEL]
    assert here(*encode)[2][0].startswith(f"{pictures}/00.png -> ")
    assert here(*encode)[2][0].startswith("0 files: ")


# ---- the shipped model, all at once


@posix
@pytest.mark.slow
@pytest.mark.skipif("lictor-s.mse" not in zoo.index(), reason="the weights are not in the tree")
def test_two_hundred_pictures(china: np.ndarray, tmp_path: Path):
    pictures, out = cut(china, tmp_path / "in", 200, 32), tmp_path / "out"
    (pictures / "100.png").write_text("hello")
    encode = [*REAL, "encode", pictures, out, "-j", "2", "--json"]
    with started(encode) as process:
        assert process.stdout is not None
        process.stdout.readline()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
        for _ in range(60):
            process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        status, _, errors = end(process)
    assert status == 130
    killed = [e for e in errors if "SIGKILL" in e]
    assert len(killed) <= 1  # it may just have had no picture
    assert_whole(out)
    first = {name: (out / name).stat().st_mtime_ns for name in names(out)}
    assert 50 < len(first) < 200
    status, _, errors = done([*encode, "--skip-existing"])
    assert status == 1
    assert errors[0].startswith(f"lictor: {pictures}/100.png: not a picture")
    assert errors[1].endswith(f"; 1 failed, {len(first)} skipped")
    assert len(names(out)) == 199
    assert_whole(out)
    assert all((out / name).stat().st_mtime_ns == at for name, at in first.items())
