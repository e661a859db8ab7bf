"""Codecs that are programs: found on PATH, fed raw pictures, their failures named.

The programs here keep the raw samples as they are, so that colours, sizes and options are what is
tested, not VVC.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from lictor.codec.api import psnr
from lictor.codec.bench import catalogue, memory
from lictor.codec.bench.contender import Missing

STORE = """#!{python}
import sys
arguments = sys.argv[1:]
if arguments[0] in ("--version", "--help"):
    print("store 1.0")
    sys.exit()
given = dict(zip(arguments, arguments[1:]))
if given.get("-q") == "63":
    print("no such luck")
    sys.exit(3)
data = open(given["-i"] if "-i" in given else given["-b"], "rb").read()
if "-s" in given:
    width, height = map(int, given["-s"].split("x"))
    assert len(data) == 3 * width * height, "not 4:2:0 of 16 bits"
open(given["-b"] if "-i" in given and "-c" in given and "-b" in given else given["-o"], "wb").write(
    data
)
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("vvencapp", "vvdecapp", "EncoderApp", "DecoderApp"):
        path = tmp_path / name
        path.write_text(STORE.replace("{python}", sys.executable))
        path.chmod(0o755)
    (tmp_path / "encoder_intra_vtm.cfg").write_text("")
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name, least", [("vvenc-fast-420", 27), ("vtm-420", 27), ("vtm-444", 50)])
def test_colours_and_sizes_survive(programs: Path, name: str, least: float, photo: np.ndarray):
    codec = catalogue.find(name)
    assert codec.version == "store 1.0"
    assert photo.shape[0] % 2 and photo.shape[1] % 2
    decoded = codec.decode(codec.encode(photo, 30))
    assert decoded.shape == photo.shape
    assert psnr(photo, decoded) > least
    gray = np.full((16, 18, 1), 77, np.uint8)
    assert (codec.decode(codec.encode(gray, 30)) == 77).all()


def test_a_program_that_fails_is_named(programs: Path, photo: np.ndarray):
    with pytest.raises(RuntimeError, match="vvencapp failed with status 3: no such luck"):
        catalogue.find("vvc").encode(photo, 63)


def test_the_memory_of_programs_counts(programs: Path, photo: np.ndarray):
    codec = catalogue.find("vvc")
    _, used = memory.peak(lambda: codec.encode(photo, 30))
    assert used is None or used > 5  # a Python process


def test_missing_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, program in (("vvc", "vvencapp"), ("vtm", "EncoderApp")):
        with pytest.raises(Missing, match=f"{program} is not on PATH"):
            catalogue.find(name)


def test_vtm_without_its_configuration(programs: Path):
    (programs / "encoder_intra_vtm.cfg").unlink()
    with pytest.raises(Missing, match="set VTM_CFG"):
        catalogue.find("vtm")
