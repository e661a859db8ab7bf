"""Every kind of picture comes in as a viewer shows it, or is refused by name."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lictor.codec import image
from lictor.codec.errors import (
    DamagedImage,
    ImageTooLarge,
    NotAnImage,
    UnknownFormat,
    UnsupportedImage,
    UnwritableImage,
)


def saved(picture: Image.Image, format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def png(colour: int, depth: int, channels: int) -> bytes:
    """A black PNG of 4x3 pixels, of a kind that Pillow itself cannot write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", 4, 3, depth, colour, 0, 0, 0)
    rows = (b"\0" + bytes(4 * channels * depth // 8)) * 3
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# ---- what is read


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "PPM", "WEBP", "QOI"])
def test_rgb_comes_in_as_it_is(photo: np.ndarray, format: str):
    options = {"lossless": True} if format == "WEBP" else {}
    data = saved(Image.fromarray(photo), format, **options)
    pixels = image.read(data)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, photo)


def test_gray_has_one_channel(camera: np.ndarray, tmp_path: Path):
    path = tmp_path / "camera.png"
    Image.fromarray(camera).save(path)
    np.testing.assert_array_equal(image.read(path), camera[:, :, None])


def test_jpeg(photo: np.ndarray):
    assert image.read(saved(Image.fromarray(photo), "JPEG")).shape == photo.shape


def test_extension_does_not_matter(photo: np.ndarray, tmp_path: Path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(saved(Image.fromarray(photo)))
    np.testing.assert_array_equal(image.read(path), photo)


def test_bilevel_becomes_gray(camera: np.ndarray):
    bilevel = camera > 128
    pixels = image.read(saved(Image.fromarray(bilevel)))
    np.testing.assert_array_equal(pixels[:, :, 0], bilevel * np.uint8(255))


def test_palette_becomes_rgb(photo: np.ndarray):
    palette = Image.fromarray(photo).quantize(16)
    expected = np.asarray(palette.convert("RGB"))
    for format in ("PNG", "GIF"):
        np.testing.assert_array_equal(image.read(saved(palette, format)), expected)


@pytest.mark.parametrize("mode, channels", [("RGBA", 3), ("LA", 1)])
def test_opaque_alpha_is_dropped(photo: np.ndarray, mode: str, channels: int):
    opaque = Image.fromarray(photo).convert(mode)
    expected = np.asarray(opaque.convert("RGB" if channels == 3 else "L"))
    pixels = image.read(saved(opaque))
    assert pixels.shape[2] == channels
    np.testing.assert_array_equal(pixels.squeeze(), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF"])
def test_orientation_is_applied(orientation: int, format: str):
    # A dark corner at the top left once it is upright, whatever way the file stores it.
    upright = Image.new("L", (48, 32), 255)
    upright.paste(0, (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    if orientation != 1:
        stored = upright.transpose(Image.Transpose(undo[orientation]))
    pixels = image.read(saved(stored, format, exif=exif))
    assert pixels.shape == (32, 48, 1)
    assert np.abs(pixels[:, :, 0].astype(int) - np.asarray(upright)).max() < 30


def test_damaged_exif_is_passed_over(photo: np.ndarray):
    data = saved(Image.fromarray(photo), exif=b"Exif\0\0MM\0*\0\0\xff\xff nonsense")
    np.testing.assert_array_equal(image.read(data), photo)


def test_jpeg_of_a_phone_with_a_second_picture_in_it(photo: np.ndarray):
    first, second = Image.fromarray(photo), Image.fromarray(photo[:8, :8])
    data = saved(first, "MPO", save_all=True, append_images=[second])
    assert image.read(data).shape == photo.shape


# ---- what is refused


@pytest.mark.parametrize("data", [b"", b"hello, world\n", b"LIC\x01", bytes(1000), b"%PDF-1.7\n"])
def test_not_an_image(data: bytes):
    with pytest.raises(NotAnImage, match="not a picture"):
        image.read(data)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "JPEG2000"])
def test_truncated(photo: np.ndarray, format: str):
    data = saved(Image.fromarray(photo), format)
    for size in {len(data) // 4, len(data) // 2, len(data) * 3 // 4}:
        with pytest.raises((DamagedImage, NotAnImage)) as caught:
            image.read(data[:size])
        assert "\n" not in str(caught.value)


def test_damaged_anywhere(photo: np.ndarray):
    """Whatever a plugin of Pillow raises on damage has a name, or the picture comes through."""
    random = np.random.default_rng(1)
    for format in ("PNG", "JPEG", "TIFF", "GIF", "WEBP"):
        good = saved(Image.fromarray(photo), format)
        for _ in range(60):
            data = bytearray(good)
            for at in random.integers(0, len(data), 4):
                data[at] = random.integers(256)
            try:
                pixels = image.read(bytes(data))
            except (DamagedImage, NotAnImage, UnsupportedImage, ImageTooLarge):
                continue
            assert pixels.dtype == np.uint8 and pixels.shape[2] in (1, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent(photo: np.ndarray, mode: str):
    picture = Image.fromarray(photo).convert(mode if mode != "P" else "RGB")
    if mode == "P":
        data = saved(picture.quantize(16), transparency=0)
    else:
        alpha = Image.new("L", picture.size, 255)
        alpha.putpixel((3, 3), 254)
        picture.putalpha(alpha)
        data = saved(picture)
    with pytest.raises(UnsupportedImage, match="transparent"):
        image.read(data)


def test_transparent_by_colour(photo: np.ndarray):
    colour = tuple(int(v) for v in photo[5, 5])
    with pytest.raises(UnsupportedImage, match="transparent"):
        image.read(saved(Image.fromarray(photo), transparency=colour))


@pytest.mark.parametrize("colour, channels", [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_png_of_16_bits(colour: int, channels: int):
    with pytest.raises(UnsupportedImage, match="8 bits"):
        image.read(png(colour, 16, channels))


@pytest.mark.parametrize(
    "data",
    [
        b"P6 2 2 65535\n" + bytes(24),
        b"P6 2 2 1023\n" + bytes(24),
        b"P5 2 2 65535\n" + bytes(8),
        saved(Image.new("I;16", (4, 4)), "TIFF"),
        saved(Image.new("F", (4, 4)), "TIFF"),
    ],
)
def test_other_deep_pictures(data: bytes):
    with pytest.raises(UnsupportedImage, match="8 bits"):
        image.read(data)


def test_cmyk(photo: np.ndarray):
    with pytest.raises(UnsupportedImage, match="CMYK"):
        image.read(saved(Image.fromarray(photo).convert("CMYK"), "JPEG"))


@pytest.mark.parametrize("mode", ["LAB", "HSV", "YCbCr"])
def test_other_colour_modes(photo: np.ndarray, mode: str):
    with pytest.raises(UnsupportedImage, match=mode):
        image.to_array(Image.new(mode, (4, 4)))


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_animated_or_of_several_pages(format: str):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    data = saved(frames[0], format, save_all=True, append_images=frames[1:])
    with pytest.raises(UnsupportedImage, match="3 frames"):
        image.read(data)


def test_decompression_bomb(photo: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    data = saved(Image.fromarray(photo))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ImageTooLarge, match="more than 200 pixels"):
        image.read(data)


def test_no_such_file_is_an_os_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        image.read(tmp_path / "none.png")


# ---- what is written


@pytest.mark.parametrize(
    "name, format",
    [
        ("a.png", "PNG"),
        ("a.PNG", "PNG"),
        ("b.c.jpg", "JPEG"),
        ("a.webp", "WEBP"),
        ("a.tif", "TIFF"),
    ],
)
def test_format_by_extension(name: str, format: str):
    assert image.format_of(name) == format


@pytest.mark.parametrize("name", ["a", "a.bin", "a.xyz", "png", ".png"])
def test_no_format_by_that_extension(name: str):
    with pytest.raises(UnknownFormat, match=r"use \.png"):
        image.format_of(name)


def test_writes_what_it_was_given(photo: np.ndarray):
    file = io.BytesIO()
    image.write(image.from_array(photo), file)
    np.testing.assert_array_equal(image.read(file.getvalue()), photo)


def test_larger_than_the_format_allows():
    with pytest.raises(UnwritableImage, match="WEBP"):
        image.write(Image.new("L", (20_000, 1)), io.BytesIO(), "WEBP")
