"""TIFF of 16 bits that Pillow does not read: gray with alpha, and channels stored apart."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from lictor.codec.errors import CodecError, ImageTooLarge, UnsupportedImage
from lictor.codec.image import pillow


@pytest.fixture(scope="module")
def deep(china: np.ndarray) -> np.ndarray:
    """A photo with alpha, all 16 bits in use: uint16 (40, 56, 4)."""
    pixels = china[200:240, 300:356].astype(np.uint16) * 257
    noise = np.random.default_rng(1).integers(0, 256, (40, 56, 4)).astype(np.uint16)
    alpha = np.linspace(3000, 60_000, 40 * 56).astype(np.uint16).reshape(40, 56, 1)
    return np.concatenate([pixels, alpha], axis=2) ^ noise


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    options = {"photometric": "minisblack" if pixels.shape[2] < 3 else "rgb", **options}
    if pixels.shape[2] in (2, 4):
        options.setdefault("extrasamples", ["unassalpha"])
    if options.get("planarconfig") == "separate":
        pixels = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    tifffile.imwrite(file, pixels, metadata=None, **options)
    return file.getvalue()


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_every_bit(
    deep: np.ndarray, channels: int, compression: str | None, planarconfig: str, byteorder: str
):
    pixels = deep[:, :, 4 - channels :] if channels == 2 else deep[:, :, :channels]
    options = {"planarconfig": planarconfig, "compression": compression, "byteorder": byteorder}
    for more in ({}, {"rowsperstrip": 7}, {"tile": (16, 32)}):
        picture = pillow.read(tiff(pixels, **options, **more))
        assert picture.pixels.dtype == np.uint16 and not picture.notes
        assert np.array_equal(picture.pixels, pixels)


def test_predictor(deep: np.ndarray):
    data = tiff(deep[:, :, 2:], compression="zlib", predictor=True, planarconfig="contig")
    assert np.array_equal(pillow.read(data).pixels, deep[:, :, 2:])


def test_alpha_that_was_multiplied_in(deep: np.ndarray):
    """Colours come back to the precision that was left of them."""
    gray, alpha = deep[:, :, 2].astype(float), deep[:, :, 3].astype(float)
    laid = np.dstack([np.rint(gray * alpha / 65535), alpha]).astype(np.uint16)
    laid[0, 0] = 0
    data = tiff(laid, planarconfig="contig", extrasamples=["assocalpha"])
    pixels = pillow.read(data).pixels
    assert np.array_equal(pixels[:, :, 1], laid[:, :, 1])
    assert pixels[0, 0].tolist() == [0, 0]
    error = np.abs(pixels[:, :, 0] - gray)[1:]
    assert (error <= 1 + 0.5 * 65535 / alpha[1:]).all()


def test_further_samples_that_are_no_alpha(deep: np.ndarray):
    data = tiff(deep[:, :, 2:], planarconfig="contig", extrasamples=["unspecified"])
    assert np.array_equal(pillow.read(data).pixels, deep[:, :, 2:3])


def test_white_is_zero(deep: np.ndarray):
    data = tiff(deep[:, :, 2:], planarconfig="contig", photometric="miniswhite")
    expected = np.dstack([65535 - deep[:, :, 2], deep[:, :, 3]])
    assert np.array_equal(pillow.read(data).pixels, expected)


def test_opaque_alpha_is_dropped(deep: np.ndarray):
    pixels = deep[:, :, 2:].copy()
    pixels[:, :, 1] = 65535
    assert pillow.read(tiff(pixels, planarconfig="contig")).pixels.shape == (40, 56, 1)


@pytest.mark.parametrize("channels", [2, 3])
def test_orientation_profile_and_exif(deep: np.ndarray, channels: int, tmp_path: Path):
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    tags = [(274, 3, 1, 6, True), (271, 2, 0, "Maker", True)]
    data = tiff(deep[:, :, :channels], planarconfig="separate", iccprofile=icc, extratags=tags)
    (tmp_path / "a.tif").write_bytes(data)
    for source in (data, tmp_path / "a.tif"):
        picture = pillow.read(source)
        assert picture.icc == icc
        assert np.array_equal(picture.pixels, deep[:, :, :channels].swapaxes(0, 1)[:, ::-1])
        kept = Image.Exif()
        kept.load(picture.exif)
        assert kept[271] == "Maker" and 274 not in kept


def test_what_only_imagecodecs_reads(deep: np.ndarray):
    """A file whose header says LZW."""
    data = bytearray(tiff(deep[:, :, 2:], planarconfig="contig"))
    entry = data.index(b"\x03\x01\x03\x00\x01\x00\x00\x00\x01\x00")  # tag 259, a short: 1
    data[entry + 8] = 5
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        with pytest.raises(UnsupportedImage, match=r"LZW.*pip install imagecodecs"):
            pillow.read(bytes(data))
    else:
        with pytest.raises(CodecError):
            pillow.read(bytes(data))


def test_floats_and_inks(deep: np.ndarray):
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((8, 8, 3), np.float32), photometric="rgb")
    with pytest.raises(UnsupportedImage, match="samples of type float32"):
        pillow.read(file.getvalue())
    inks = deep.transpose(2, 0, 1)
    tifffile.imwrite(
        file := io.BytesIO(),
        inks,
        photometric="separated",
        planarconfig="separate",
        extratags=[(332, 3, 1, 2, True)],
    )
    with pytest.raises(UnsupportedImage, match="convert it to RGB or gray"):
        pillow.read(file.getvalue())


def test_too_many_pixels(deep: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    data = tiff(deep[:, :, 2:], planarconfig="contig")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageTooLarge, match="2000 pixels"):
        pillow.read(data)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("channels", [2, 3])
def test_cut_short(deep: np.ndarray, compression: str | None, channels: int):
    """At any place: no picture, but an error with a name."""
    options = {"planarconfig": "separate", "compression": compression, "rowsperstrip": 8}
    data = tiff(deep[:, :, :channels], **options)
    for size in range(9, len(data) - 1, 97):
        with pytest.raises(CodecError) as e:
            pillow.read(data[:size])
        assert len(str(e.value).splitlines()) == 1


def test_damaged_anywhere(deep: np.ndarray):
    data = tiff(deep[:, :, 2:], planarconfig="contig", compression="zlib")
    random = np.random.default_rng(7)
    for _ in range(300):
        bad = bytearray(data)
        for place in random.integers(0, len(bad) // random.choice([1, 20]), 3):
            bad[place] = random.integers(0, 256)
        try:
            pillow.read(bytes(bad))
        except CodecError as e:
            assert len(str(e).splitlines()) == 1
