"""Which pictures are measured, what they are called, and what codecs get of them."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lictor.codec.bench import pictures
from lictor.codec.inputs import UsageError


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_names_are_short_and_unique(tmp_path: Path, photo: np.ndarray):
    for name in ("a.png", "b.png", "b.jpg", "sub/a.png"):
        save(tmp_path / name, photo)
    names = [source.name for source in pictures.find([str(tmp_path)])]
    assert names == ["a", "b.jpg", "b.png", "sub/a"]
    twice = pictures.find([str(tmp_path / "a.png"), str(tmp_path / "sub")])
    assert [source.name for source in twice] == ["a.png", "a.png-2"]


def test_tar_files(tmp_path: Path, photo: np.ndarray):
    data = io.BytesIO()
    Image.fromarray(photo).save(data, "PNG")
    path = tmp_path / "set.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("set/n01491361_tiger_shark.png", "set/readme.txt"):
            member = tarfile.TarInfo(name)
            member.size = len(data.getvalue())
            archive.addfile(member, io.BytesIO(data.getvalue()))
    (source,) = pictures.find([str(path)])
    assert source.name == "set/n01491361_tiger_shark"
    assert source.label == "n01491361"
    assert (source.read().pixels == photo).all()


@pytest.mark.parametrize(
    "name, label",
    [
        ("n01491361_tiger_shark", "n01491361"),
        ("n01491361", "n01491361"),
        ("val/n01491361/ILSVRC2012_val_00000001", "n01491361"),
        ("n014913610_x", None),
        ("kodim01", None),
    ],
)
def test_labels(name: str, label: str | None):
    assert pictures.Source(name, name).label == label


def test_alpha_and_sixteen_bits_are_told(tmp_path: Path, photo: np.ndarray):
    alpha = np.full((*photo.shape[:2], 1), 100, np.uint8)
    save(tmp_path / "alpha.png", np.dstack([photo, alpha]))
    save(tmp_path / "deep.png", (photo[:, :, 0].astype(np.uint16) * 257))
    shown, deep = (source.read() for source in pictures.find([str(tmp_path)]))
    assert (shown.pixels == photo).all() and "alpha is left out" in shown.notes[0]
    assert (deep.pixels == photo[:, :, :1]).all() and "measured as 8" in deep.notes[0]


@pytest.mark.parametrize(
    "name, reason",
    [
        ("empty", "no pictures"),
        ("none.png", "no such file"),
        ("bad.tar", "not a tar file"),
        ("empty.tar", "holds no pictures"),
        ("-", "not standard input"),
    ],
)
def test_bad_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, reason: str):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("bad.tar").write_text("hello")
    with tarfile.open("empty.tar", "w"):
        pass
    with pytest.raises(UsageError, match=reason):
        pictures.find([name])
