"""The shipped model end to end. Skipped only where the checkpoint is not in the tree."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lictor.codec import CodecError, decode, decode_picture, encode, info, latents, verify
from lictor.codec.api import psnr
from lictor.codec.errors import ModelUnavailable, TargetMissed
from lictor.codec.format import picture as bitstream
from lictor.codec.image.pillow import Picture
from lictor.codec.picture import tiles
from lictor.models import checkpoint, zoo

pytestmark = pytest.mark.skipif(
    "lictor-s.mse" not in zoo.index(), reason="lictor-s.mse is not in the tree"
)


@pytest.fixture
def only_fake_models() -> None:
    """In place of the fixture that hides the shipped models."""


@pytest.mark.parametrize("quality", [0, 30, 60, 100])
def test_verify_of_a_photo(china: np.ndarray, quality: float):
    report = verify(china[:256, :384], quality=quality)
    assert report.ok, report


def test_verify_of_a_gray_photo(camera: np.ndarray):
    report = verify(camera[:200, :301], quality=50)
    assert report.ok, report
    assert report.psnr > 28


def test_quality_is_monotone(china: np.ndarray):
    reports = [verify(china[:128, :192], quality=quality) for quality in range(0, 101, 20)]
    assert sorted(reports, key=lambda r: r.bytes) == reports
    assert sorted(reports, key=lambda r: r.psnr) == reports


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 1), (1, 700), (700, 1), (63, 65), (64, 128)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size(china: np.ndarray, shape: tuple[int, int], channels: int):
    picture = np.resize(china, (*shape, channels))
    back = decode(encode(picture, quality=100))
    assert back.size == shape[::-1]
    assert back.mode == ("L" if channels == 1 else "RGB")


@pytest.mark.parametrize("kind", ["black", "white", "noise", "checkerboard"])
def test_pictures_unlike_photos(kind: str):
    picture = {
        "black": np.zeros((100, 90, 3), np.uint8),
        "white": np.full((100, 90, 3), 255, np.uint8),
        "noise": np.random.default_rng(0).integers(0, 256, (100, 90, 3), np.uint8),
        "checkerboard": np.indices((100, 90, 3)).sum(0).astype(np.uint8) % 2 * 255,
    }[kind]
    for quality in (0, 100):
        back = np.asarray(decode(encode(picture, quality=quality)))
        assert back.shape == picture.shape
        if kind in ("black", "white"):
            assert np.abs(back.astype(int) - picture).mean() < 12


def test_same_picture_in_other_processes_with_other_thread_counts(
    china: np.ndarray, tmp_path: Path
):
    source, coded = tmp_path / "a.png", tmp_path / "a.bin"
    Image.fromarray(china[:200, :300]).save(source)
    expected = np.asarray(decode(encode(china[:200, :300], quality=60)))
    lictor = [sys.executable, "-m", "lictor.codec"]
    subprocess.run([*lictor, "encode", source, coded, "-q", "60"], check=True)
    for threads in "12":
        output = tmp_path / f"{threads}.png"
        environment = {**os.environ, "OMP_NUM_THREADS": threads}
        subprocess.run([*lictor, "decode", coded, output], env=environment, check=True)
        with Image.open(output) as picture:
            # To a level: the synthesis is floating point.
            np.testing.assert_allclose(np.asarray(picture, int), expected, atol=1, rtol=0)


def test_damage_is_found(china: np.ndarray):
    data = encode(china[:64, :64], quality=40)
    random = np.random.default_rng(5)
    for _ in range(200):
        damaged = bytearray(data)
        damaged[random.integers(len(data))] ^= 1 << random.integers(8)
        with pytest.raises(CodecError):
            decode(damaged)
    for size in range(len(data)):
        with pytest.raises(CodecError):
            decode(data[:size])


def test_overhead(china: np.ndarray):
    i = info(encode(china, quality=50, method="network"))
    assert i.model == zoo.TUNED["eyes"]
    assert i.bytes - i.latent_bytes <= 32


def test_effort_gives_an_ordinary_file(china: np.ndarray):
    picture = china[200:264, 300:400]
    searched = encode(picture, quality=60, effort=2, method="network")
    assert searched != encode(picture, quality=60, method="network")
    assert searched == encode(picture, quality=60, effort=2, method="network")
    assert decode(searched).size == (100, 64)
    report = verify(picture, quality=60, effort=2, method="network")
    assert report.ok, report
    assert report.bytes == len(searched)


def test_effort_on_a_gray_photo(camera: np.ndarray):
    report = verify(camera[:96, :96], quality=50, effort=1)
    assert report.ok, report


# ---- tiles


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of about 128x128 pixels."""
    monkeypatch.setattr(tiles, "SIDE", 128)


@pytest.mark.usefixtures("small_tiles")
def test_regions_are_those_of_the_whole(china: np.ndarray):
    data = encode(china[:250, :390], quality=60)
    assert info(data).tiles == 8
    whole = np.asarray(decode(data))
    for x, y, width, height in [(0, 0, 390, 250), (120, 100, 60, 90), (389, 249, 1, 1)]:
        part = np.asarray(decode(data, region=(x, y, width, height)))
        np.testing.assert_array_equal(part, whole[y : y + height, x : x + width])


@pytest.mark.usefixtures("small_tiles")
def test_workers_change_nothing(china: np.ndarray):
    """Neither how many there are nor how many threads each has."""
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 3, 16):
            torch.set_num_threads(count)
            data = encode(china[:192, :256], quality=40, method="network")
            results.append((data, latents(data).sha256, np.asarray(decode(data), int)))
    finally:
        torch.set_num_threads(threads)
    (data, sha256, pixels), *others = results
    for other in others:
        assert other[:2] == (data, sha256)
        np.testing.assert_allclose(other[2], pixels, atol=1, rtol=0)


def test_no_seam_shows(china: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    """The error within four pixels of a border is that of the same place coded in one piece."""
    picture = china[:384, :640]
    for quality in (20, 70):
        whole = np.asarray(decode(encode(picture, quality=quality)))
        monkeypatch.setattr(tiles, "SIDE", 128)
        data = encode(picture, quality=quality)
        assert info(data).tiles == 15
        tiled = np.asarray(decode(data))
        monkeypatch.setattr(tiles, "SIDE", 1024)
        near = np.zeros(picture.shape[:2], bool)
        for border in range(128, 640, 128):
            near[border - 4 : border + 4] = near[:, border - 4 : border + 4] = True
        psnr = [
            10 * np.log10(255**2 / np.square(picture[place].astype(float) - coded[place]).mean())
            for coded in (whole, tiled)
            for place in (near, ~near)
        ]
        assert abs((psnr[2] - psnr[0]) - (psnr[3] - psnr[1])) < 0.1, psnr


@pytest.mark.usefixtures("small_tiles")
def test_search_in_tiles(china: np.ndarray):
    picture = china[200:328, 300:500]
    seen: list[tuple[int, int]] = []
    searched = encode(
        picture,
        quality=50,
        model="lictor-s.mse",
        effort=2,
        progress=lambda *step: seen.append(step),
    )
    assert info(searched).tiles == 2
    assert seen == [(n + 1, 14) for n in range(14)]
    assert searched == encode(picture, quality=50, model="lictor-s.mse", effort=2)
    report = verify(picture, quality=50, model="lictor-s.mse", effort=2)
    assert report.ok, report
    assert report.bytes < verify(picture, quality=50, model="lictor-s.mse").bytes


@pytest.mark.usefixtures("small_tiles")
def test_salvage(china: np.ndarray):
    data = encode(china[:128, :384], quality=60, method="network")
    header, sections = bitstream.read(data)
    table = bitstream.read_table(header, sections)
    assert table and len(table.tiles) == 3
    damaged = bytearray(data)
    damaged[-4 - table.tiles[2].size // 2] ^= 1
    found = decode_picture(damaged, salvage=True)
    assert "at 256,0 is painted over" in found.lost[0]
    beyond_reach = slice(0, 256 - 48)
    np.testing.assert_array_equal(
        found.pixels[:, beyond_reach], np.asarray(decode(data))[:, beyond_reach]
    )
    near = found.pixels[:, 256 - 48 : 256].astype(int) - np.asarray(decode(data))[:, 208:256]
    assert np.abs(near).mean() < 8


def gradients(name: str) -> np.ndarray:
    """Smooth pictures of 16 bits, 512x768, gray or RGB."""
    y, x = np.mgrid[:512, :768] / 768
    planes = {
        "slope": 0.8 * x + 0.2 * y,
        "light": np.exp(-((x - 0.5) ** 2 + (y - 0.3) ** 2) / 0.15),
        "sky": np.dstack([0.3 + 0.3 * y, 0.5 + 0.25 * y, 0.9 - 0.1 * y]),
        "colours": np.dstack([x, y / y.max(), 1 - (x + y) / 2]),
        "waves": 0.5 + 0.4 * np.dstack([np.sin(4 * x), np.cos(4 * y), np.sin(3 * (x + y))]),
    }
    return np.rint(65535 * planes[name]).astype(np.uint16)


@pytest.mark.parametrize("model", ["lictor-s.mse", "lictor-m.mse", "lictor-s.vis"])
@pytest.mark.parametrize("name", ["slope", "light", "sky", "colours", "waves"])
def test_16_bits_have_ten_bits_of_precision(name: str, model: str):
    picture = gradients(name)
    data = encode(picture, quality=100, model=model)
    error = decode_picture(data).pixels.reshape(picture.shape) / 65535 - picture / 65535
    assert np.sqrt(np.square(error).mean()) < 1 / 1024


def test_16_bits_agree_wherever_they_are_decoded(china: np.ndarray, monkeypatch):
    """In tiles, in parts and with maps; finer steps are of the places that have the quality."""
    picture = np.array(china[:192, :256], np.uint16) * 257
    report = verify(picture, quality=100)
    assert report.ok, report
    monkeypatch.setattr(tiles, "SIDE", 64)
    roi = np.tile(np.linspace(0, 1, 16), (12, 1))
    data = encode(picture, quality=100, roi=roi)
    assert info(data).tiles == 12
    part = decode_picture(data, region=(70, 30, 100, 90)).pixels
    np.testing.assert_array_equal(part, decode_picture(data).pixels[30:120, 70:170])


@pytest.mark.slow
@pytest.mark.parametrize("size", [(40_000, 1), (1, 40_000), (40_000, 64)])
def test_long_pictures(china: np.ndarray, size: tuple[int, int]):
    row = np.ascontiguousarray(np.resize(china[100], (40_000, 1, 3)))
    picture = np.repeat(row, min(size), axis=1)
    picture = picture if size[0] == 40_000 else picture.swapaxes(0, 1)
    back = np.asarray(decode(encode(picture, quality=80)))
    assert back.shape == picture.shape
    assert psnr(back, picture) > 30


def test_a_region_of_interest_is_better_at_no_more_bytes(china: np.ndarray):
    picture = np.ascontiguousarray(china[:320, :448])
    inside = np.s_[96:208, 160:272]
    plain = encode(picture, quality=50, method="network")
    best = plain
    for quality in range(60, 100, 4):
        data = encode(picture, quality=quality, roi=[(160, 96, 112, 112)], method="network")
        if len(data) <= len(plain):
            best = data
    before, after = (psnr(picture[inside], np.asarray(decode(d))[inside]) for d in (plain, best))
    assert after > before + 2
    assert info(best).map_bytes < 30


def test_a_region_of_interest_in_tiles(china: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    """No seam shows where tiles of different quality meet, and parts decode as the whole does."""
    picture = np.ascontiguousarray(china[:200, :300])
    roi = np.tile(np.linspace(0, 1, 30), (20, 1))
    whole = decode(encode(picture, quality=70, roi=roi, method="network"))
    monkeypatch.setattr(tiles, "SIDE", 64)
    data = encode(picture, quality=70, roi=roi, method="network")
    assert info(data).tiles > 10
    tiled = np.asarray(decode(data))
    assert abs(psnr(picture, tiled) - psnr(picture, np.asarray(whole))) < 0.05
    part = decode(data, region=(50, 40, 130, 90))
    np.testing.assert_array_equal(np.asarray(part), tiled[40:130, 50:180])


def test_networks_that_give_no_numbers_are_named(monkeypatch):
    """Weights gone wrong, on one picture only: neither a file nor a picture comes of it."""
    monkeypatch.setenv("LICTOR_RUNTIME", "torch")
    model = checkpoint.load("lictor-s.mse")
    pixels = np.full((64, 64, 3), 90, np.uint8)
    data = encode(pixels, model="lictor-s.mse", method="network")
    for part in ("g_a", "g_s"):
        whole = getattr(model, part).forward
        monkeypatch.setattr(
            getattr(model, part), "forward", lambda x, q, of=whole: of(x, q) * torch.nan
        )
        with pytest.raises(ModelUnavailable, match="not a number"):
            if part == "g_s":
                decode(data)
            encode(pixels, model="lictor-s.mse", method="network")


# ---- targets


def kinds(photo: np.ndarray) -> dict[str, Picture]:
    deep = photo.astype(np.uint16) * 256 + 100
    random = np.random.default_rng(0)
    alpha = random.integers(0, 4, (*photo.shape[:2], 1), np.uint8) // 3 * 100
    return {
        "RGB": Picture(photo),
        "gray": Picture(np.ascontiguousarray(photo[:, :, :1])),
        "alpha": Picture(np.dstack([photo, alpha])),
        "metadata": Picture(photo, icc=random.bytes(900), exif=b"MM\0*" + random.bytes(200)),
        "16 bits": Picture(deep),
    }


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("kind", ["RGB", "gray", "alpha", "metadata", "16 bits"])
def test_targets(kind: str, china: np.ndarray):
    """All that a file holds counts, tiles and alpha too; what is decoded is what was measured."""
    picture = kinds(np.ascontiguousarray(china[100:292, 200:456]))[kind]
    low, high = (len(encode(picture, quality=q)) for q in (10, 90))
    wanted = (low + high) // 2
    with warnings.catch_warnings():  # a step of quality may be more than 1 % of so small a file
        warnings.simplefilter("ignore", TargetMissed)
        data = encode(picture, size=wanted)
    assert 0.98 * wanted <= len(data) <= wanted and info(data).tiles == 4
    assert abs(info(encode(picture, bpp=8 * wanted / (192 * 256))).bytes / wanted - 1) <= 0.01
    seen = decode_picture(encode(picture, psnr=32))
    visible = ... if picture.alpha is None else picture.alpha > 0
    # Where blocks change their method with the quality, steps are no finer than this.
    assert abs(psnr(picture.colours[visible], seen.colours[visible]) - 32) <= 0.2
    if picture.alpha is not None:
        np.testing.assert_array_equal(seen.alpha, picture.alpha)


def test_targets_with_effort_and_region(china: np.ndarray):
    photo = china[200:264, 300:428]
    data = encode(photo, size=1500, effort=1, roi=[(0, 0, 64, 64)], method="network")
    assert 1400 <= len(data) <= 1500 and info(data).map_bytes
    with pytest.warns(TargetMissed, match="quality 0 is the lowest"):
        encode(photo, size=50, effort=1, method="network")
