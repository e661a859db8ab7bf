"""Suffixes, media types, thumbnails: what file managers and `file` know of Lictor files."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lictor.codec import desktop, encode, encode_features
from lictor.codec.cli.main import cli
from lictor.codec.format import names


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not here")


def run(*arguments: object) -> int:
    try:
        cli.main([str(a) for a in arguments], prog_name="lictor")
    except SystemExit as e:
        return int(e.code or 0)
    return 0


@pytest.fixture
def files(tmp_path: Path, photo: np.ndarray) -> dict[str, Path]:
    """A file of each kind without a telling name, and their types."""
    made = {names.PICTURE_TYPE: encode(photo, quality="lossless")}
    made[names.ARRAYS_TYPE] = encode_features(np.zeros(5, np.float32))
    found = {}
    for kind, data in made.items():
        found[kind] = tmp_path / kind.rpartition("-")[2]
        found[kind].write_bytes(data)
    return found


# ---- the suffix


def test_both_suffixes_are_found_in_folders(tmp_path: Path, photo: np.ndarray):
    for number, suffix in enumerate(names.SUFFIXES):
        (tmp_path / f"{number}{suffix}").write_bytes(encode(photo, quality="lossless"))
    assert run("decode", tmp_path, tmp_path / "out") == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["0.png", "1.png"]


def test_outputs_in_a_folder_get_the_suffix_that_is_asked_for(tmp_path: Path, photo: np.ndarray):
    Image.fromarray(photo).save(tmp_path / "a.png")
    out = tmp_path / "out"
    assert run("encode", tmp_path, out, "--lossless", "--suffix", ".lictor") == 0
    assert os.listdir(out) == ["a.lictor"]
    before = (out / "a.lictor").stat().st_mtime_ns
    again = ("encode", tmp_path / "a.png", f"{out}/", "--lossless", "--suffix", ".lictor")
    assert run(*again, "--skip-existing") == 0
    assert (out / "a.lictor").stat().st_mtime_ns == before


# ---- thumbnails


def test_thumbnails_are_small_pngs(tmp_path: Path, china: np.ndarray):
    (tmp_path / "a.lictor").write_bytes(encode(china[:200], quality="lossless"))
    assert run("thumbnail", "--size", 64, tmp_path / "a.lictor", tmp_path / "t.png") == 0
    with Image.open(tmp_path / "t.png") as image:
        assert (image.format, image.size, image.mode) == ("PNG", (64, 20), "RGB")
        shown = np.asarray(image, float)
    wanted = Image.fromarray(china[:200]).resize((64, 20), Image.Resampling.BICUBIC)
    assert np.abs(shown - np.asarray(wanted, float)).mean() < 3


def test_thumbnails_of_arrays_and_damage_are_refused(files: dict[str, Path], tmp_path: Path):
    out = tmp_path / "t.png"
    assert run("thumbnail", files[names.ARRAYS_TYPE], out) == 1
    picture = files[names.PICTURE_TYPE]
    picture.write_bytes(picture.read_bytes()[:-3])
    assert run("thumbnail", picture, out) == 1
    assert not out.exists()


# ---- the desktop


def test_install_and_remove(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run("desktop", "--install", "--into", tmp_path) == 0
    for place in desktop.PLACES.values():
        assert (tmp_path / place).is_file()
    assert str(tmp_path) in capsys.readouterr().out
    assert run("desktop", "--remove", "--into", tmp_path) == 0
    assert not any((tmp_path / place).exists() for place in desktop.PLACES.values())
    assert run("desktop") == 2


def test_the_thumbnailer_runs(tmp_path: Path, files: dict[str, Path]):
    """As a file manager runs it: the fields filled in, split as a shell would."""
    home = tmp_path / "share"
    desktop.install(home, sys.executable)
    text = (home / desktop.PLACES["lictor.thumbnailer"]).read_text()
    entry = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    assert entry["MimeType"] == f"{names.PICTURE_TYPE};"
    out = tmp_path / "t.png"
    fields = {"%i": str(files[names.PICTURE_TYPE]), "%o": str(out), "%s": "20"}
    command = [fields.get(word, word) for word in shlex.split(entry["Exec"])]
    subprocess.run(command, check=True, capture_output=True)
    with Image.open(out) as image:
        assert max(image.size) == 20


@needs("file")
def test_file_knows_them(files: dict[str, Path]):
    magic = Path(desktop.__file__).with_name("lictor.magic")
    for kind, path in files.items():
        run = subprocess.run(
            ["file", "-b", "--mime-type", "-m", magic, path], capture_output=True, text=True
        )
        assert run.stdout.strip() == kind, run.stderr
    text = subprocess.run(["file", "-b", "-m", magic, path], capture_output=True, text=True)
    assert text.stdout.startswith("Lictor arrays, format version")


@needs("update-mime-database")
@needs("gio")
def test_desktops_know_them(files: dict[str, Path], tmp_path: Path):
    """By name and content alike, since both kinds have one suffix."""
    home = tmp_path / "share"
    desktop.install(home)
    assert desktop.refresh(home)
    for kind, path in files.items():
        named = path.rename(path.with_suffix(".lictor"))
        told = subprocess.run(
            ["gio", "info", "-a", "standard::content-type", named],
            env=os.environ | {"XDG_DATA_HOME": str(home)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.split()[-1] == kind
