"""Every kind of picture comes in as a viewer shows it, or is refused by name."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from lictor.codec.errors import (
    DamagedImage,
    ImageTooLarge,
    NotAnImage,
    UnknownFormat,
    UnsupportedImage,
    UnwritableImage,
)
from lictor.codec.image import pillow
from lictor.codec.image.pillow import Picture


def pixels_of(source: object) -> np.ndarray:
    return pillow.read(source).pixels  # type: ignore[arg-type]


def saved(picture: Image.Image, format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def png(colour: int, depth: int, size: tuple[int, int], rows: bytes, key: bytes = b"") -> bytes:
    """A PNG of filtered rows, of a kind that Pillow itself cannot write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0))]
    if key:
        parts.append(chunk(b"tRNS", key))
    parts += [chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.fixture
def see_through(photo: np.ndarray) -> np.ndarray:
    """The photo with an alpha of all kinds: uint8 (31, 45, 4)."""
    alpha = np.clip(np.add.outer(np.arange(31), np.arange(45)) * 9 - 200, 0, 255)
    return np.dstack([photo, alpha.astype(np.uint8)])


# ---- what is read


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "PPM", "WEBP", "QOI"])
def test_rgb_comes_in_as_it_is(photo: np.ndarray, format: str):
    options = {"lossless": True} if format == "WEBP" else {}
    data = saved(Image.fromarray(photo), format, **options)
    pixels = pixels_of(data)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, photo)


def test_gray_has_one_channel(camera: np.ndarray, tmp_path: Path):
    path = tmp_path / "camera.png"
    Image.fromarray(camera).save(path)
    np.testing.assert_array_equal(pixels_of(path), camera[:, :, None])


def test_jpeg(photo: np.ndarray):
    assert pixels_of(saved(Image.fromarray(photo), "JPEG")).shape == photo.shape


def test_extension_does_not_matter(photo: np.ndarray, tmp_path: Path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(saved(Image.fromarray(photo)))
    np.testing.assert_array_equal(pixels_of(path), photo)


def test_bilevel_becomes_gray(camera: np.ndarray):
    bilevel = camera > 128
    pixels = pixels_of(saved(Image.fromarray(bilevel)))
    np.testing.assert_array_equal(pixels[:, :, 0], bilevel * np.uint8(255))


def test_palette_becomes_rgb(photo: np.ndarray):
    palette = Image.fromarray(photo).quantize(16)
    expected = np.asarray(palette.convert("RGB"))
    for format in ("PNG", "GIF"):
        np.testing.assert_array_equal(pixels_of(saved(palette, format)), expected)


@pytest.mark.parametrize("mode, channels", [("RGBA", 3), ("LA", 1)])
def test_opaque_alpha_is_dropped(photo: np.ndarray, mode: str, channels: int):
    opaque = Image.fromarray(photo).convert(mode)
    expected = np.asarray(opaque.convert("RGB" if channels == 3 else "L"))
    pixels = pixels_of(saved(opaque))
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
    pixels = pixels_of(saved(stored, format, exif=exif))
    assert pixels.shape == (32, 48, 1)
    assert np.abs(pixels[:, :, 0].astype(int) - np.asarray(upright)).max() < 30


def test_damaged_exif_is_passed_over(photo: np.ndarray):
    data = saved(Image.fromarray(photo), exif=b"Exif\0\0MM\0*\0\0\xff\xff nonsense")
    np.testing.assert_array_equal(pixels_of(data), photo)


def test_jpeg_of_a_phone_with_a_second_picture_in_it(photo: np.ndarray):
    first, second = Image.fromarray(photo), Image.fromarray(photo[:8, :8])
    data = saved(first, "MPO", save_all=True, append_images=[second])
    assert pixels_of(data).shape == photo.shape


# ---- alpha


@pytest.mark.parametrize(
    "mode, channels, format",
    [
        ("RGBA", 4, "PNG"),
        ("RGBA", 4, "TIFF"),
        ("RGBA", 4, "WEBP"),
        ("LA", 2, "PNG"),
        ("LA", 2, "TIFF"),
    ],
)
def test_alpha_comes_in_as_it_is(see_through: np.ndarray, mode: str, channels: int, format: str):
    picture = Image.fromarray(see_through).convert(mode)
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    pixels = pixels_of(saved(picture, format, **options))
    np.testing.assert_array_equal(pixels, np.asarray(picture))
    assert pixels.shape[2] == channels


def test_palette_with_transparency(photo: np.ndarray):
    palette = Image.fromarray(photo).quantize(16)
    data = saved(palette, transparency=3)
    expected = np.asarray(palette) != 3
    pixels = pixels_of(data)
    np.testing.assert_array_equal(pixels[:, :, 3], expected * 255)
    np.testing.assert_array_equal(pixels[:, :, :3], np.asarray(palette.convert("RGB")))


def test_transparent_by_colour(photo: np.ndarray):
    colour = tuple(int(v) for v in photo[5, 5])
    pixels = pixels_of(saved(Image.fromarray(photo), transparency=colour))
    np.testing.assert_array_equal(pixels[:, :, 3] == 0, (photo == photo[5, 5]).all(axis=2))
    gray = pixels_of(saved(Image.fromarray(photo).convert("L"), transparency=int(photo[5, 5, 0])))
    assert gray.shape[2] in (1, 2)


# ---- 16 bits


@pytest.fixture
def deep_pixels() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 65536, (13, 17, 4), dtype=np.uint16)


@pytest.mark.parametrize(
    "channels, format",
    [(1, "PNG"), (2, "PNG"), (3, "PNG"), (4, "PNG"), (1, "TIFF"), (3, "TIFF"), (4, "TIFF")],
)
def test_16_bits_there_and_back(deep_pixels: np.ndarray, channels: int, format: str):
    pixels = deep_pixels[:, :, :channels]
    file = io.BytesIO()
    assert pillow.write(Picture(pixels), file, format) == ()
    np.testing.assert_array_equal(pixels_of(file.getvalue()), pixels)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("filter", range(5))
def test_16_bit_png_that_another_wrote(deep_pixels: np.ndarray, channels: int, filter: int):
    """Every filter of PNG; the bytes say what libpng would make of them, row by row."""
    rows = np.zeros((13, 1 + 17 * channels * 2), np.uint8)
    rows[0, 1:] = deep_pixels[0, :, :channels].astype(">u2").ravel().view(np.uint8)
    rows[1:, 0] = filter
    width = 2 * channels
    first = rows[0, 1:].astype(int)
    row = first
    for _ in range(12):
        row = _undo(filter, row, width)
    pixels = pixels_of(png({1: 0, 2: 4, 3: 2, 4: 6}[channels], 16, (17, 13), rows.tobytes()))
    expected = row.astype(np.uint8).view(">u2").reshape(17, channels)
    np.testing.assert_array_equal(pixels[-1], expected)


def _undo(filter: int, above: np.ndarray, width: int) -> np.ndarray:
    """A row of zeros, filtered, below another."""
    row = np.zeros_like(above)
    for i in range(len(row)):
        a = row[i - width] if i >= width else 0
        b, c = above[i], above[i - width] if i >= width else 0
        nearest = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))
        row[i] = (0, a, b, (a + b) // 2, nearest[2])[filter]
    return row


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_tiff_that_another_wrote(
    deep_pixels: np.ndarray, channels: int, compression: str | None, order: str
):
    file = io.BytesIO()
    pixels = deep_pixels[:, :, :channels]
    tifffile.imwrite(
        file,
        pixels.squeeze(),
        photometric="rgb" if channels > 1 else "minisblack",
        extrasamples=["unassalpha"] if channels == 4 else None,
        compression=compression,
        byteorder=order,
        rowsperstrip=5,
        metadata=None,
    )
    np.testing.assert_array_equal(pixels_of(file.getvalue()), pixels)


def test_16_bit_png_with_a_transparent_colour(deep_pixels: np.ndarray):
    deep_pixels[3, 4] = deep_pixels[0, 0]
    rows = np.zeros((13, 1 + 17 * 6), np.uint8)
    big = np.ascontiguousarray(deep_pixels[:, :, :3].astype(">u2"))
    rows[:, 1:] = big.view(np.uint8).reshape(13, -1)
    pixels = pixels_of(png(2, 16, (17, 13), rows.tobytes(), key=big[0, 0].tobytes()))
    np.testing.assert_array_equal(pixels[:, :, :3], deep_pixels[:, :, :3])
    assert pixels[0, 0, 3] == pixels[3, 4, 3] == 0
    assert (pixels[:, :, 3] == 65535).sum() == 13 * 17 - 2


@pytest.mark.parametrize("most", [65535, 1023])
def test_16_bit_ppm(most: int):
    samples = np.array([0, most, most // 2] * 4, ">u2")
    pixels = pixels_of(b"P6 2 2 %d\n" % most + samples.tobytes())
    expected = (samples.astype(int) * 65535 + most // 2) // most
    np.testing.assert_array_equal(pixels.ravel(), expected)
    gray = pixels_of(b"P5 2 6 %d\n" % most + samples.tobytes())
    assert np.abs(gray.ravel().astype(int) - expected).max() <= 1


def test_12_bit_tiff():
    values = [0, 4095, 2048, 1]
    bits = "".join(f"{value:012b}" for value in values)
    tags = {256: 4, 257: 1, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 6}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    data = b"II*\0" + struct.pack("<I", 16) + int(bits, 2).to_bytes(6, "big") + bytes(2)
    pixels = pixels_of(data + struct.pack("<H", len(tags)) + entries + bytes(4))
    assert pixels.ravel().tolist() == [0, 65535, 32776, 16]


@pytest.mark.parametrize("mode, channels", [("La", 2), ("RGBa", 4), ("PA", 4)])
def test_other_ways_to_hold_alpha(mode: str, channels: int):
    pixels = pillow.from_pillow(Image.new(mode, (3, 2))).pixels
    assert pixels.shape == (2, 3, channels) and not pixels[:, :, -1].any()


def test_16_bits_in_a_format_of_8(deep_pixels: np.ndarray):
    file = io.BytesIO()
    notes = pillow.write(Picture(deep_pixels[:, :, :3]), file, "BMP")
    assert "16 bits" in notes[0]
    again = pixels_of(file.getvalue()).astype(int)
    assert np.abs(again * 257 - deep_pixels[:, :, :3]).max() <= 129


# ---- colours and metadata


@pytest.fixture(scope="module")
def profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="module")
def swapped_profile(profile: bytes) -> bytes:
    """sRGB with red and green exchanged, which no conversion can leave as it is."""
    return profile.replace(b"rXYZ", b"tXYZ").replace(b"gXYZ", b"rXYZ").replace(b"tXYZ", b"gXYZ")


def test_cmyk(photo: np.ndarray):
    picture = pillow.read(saved(Image.fromarray(photo).convert("CMYK"), "JPEG", quality=95))
    assert "CMYK" in picture.notes[0] and "without" in picture.notes[0]
    assert np.abs(picture.pixels.astype(int) - photo).mean() < 6


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_keeps_exif_and_is_upright(photo: np.ndarray, format: str):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x0112] = 6
    picture = pillow.read(saved(Image.fromarray(photo).convert("CMYK"), format, exif=exif))
    assert picture.pixels.shape == (45, 31, 3)
    assert b"Maker" in picture.exif


def test_profile_of_another_kind_of_colours_is_passed_over(photo: np.ndarray, profile: bytes):
    data = saved(Image.fromarray(photo).convert("CMYK"), "TIFF", icc_profile=profile)
    picture = pillow.read(data)
    assert "without" in picture.notes[0] and picture.icc == b""


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_profile_and_exif_are_kept(photo: np.ndarray, profile: bytes, format: str):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x0112] = 6
    data = saved(Image.fromarray(photo), format, icc_profile=profile, exif=exif)
    picture = pillow.read(data)
    assert picture.icc == profile
    kept = Image.Exif()
    kept.load(picture.exif)
    assert dict(kept) == {0x010F: "Maker"}


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_profile_and_exif_are_written(photo: np.ndarray, profile: bytes, format: str):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    file = io.BytesIO()
    pillow.write(Picture(photo, profile, exif.tobytes().removeprefix(b"Exif\0\0")), file, format)
    with Image.open(file) as written:
        assert written.info["icc_profile"] == profile
        assert written.getexif()[0x010F] == "Maker"


def test_profile_and_exif_of_16_bits(deep_pixels: np.ndarray, profile: bytes):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    picture = Picture(deep_pixels, profile, exif.tobytes().removeprefix(b"Exif\0\0"))
    file = io.BytesIO()
    pillow.write(picture, file, "PNG")
    assert pillow.read(file.getvalue()).icc == profile
    assert pillow.read(file.getvalue()).exif == picture.exif
    file = io.BytesIO()
    assert "EXIF" in pillow.write(picture, file, "TIFF")[0]
    assert pillow.read(file.getvalue()).icc == profile


def test_exif_that_says_upright_stays_byte_for_byte(photo: np.ndarray):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    data = exif.tobytes()
    assert pillow.read(saved(Image.fromarray(photo), "JPEG", exif=data)).exif == data[6:]


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_exif_of_a_turned_picture_keeps_what_else_it_says(photo: np.ndarray, format: str):
    exif = Image.Exif()
    exif[0x0112] = 8
    exif.get_ifd(0x8769)[0x9003] = "2026:01:02 03:04:05"
    exif.get_ifd(0x8825)[1] = "N"
    picture = pillow.read(saved(Image.fromarray(photo), format, exif=exif.tobytes()))
    assert picture.pixels.shape == (45, 31, 3)
    kept = Image.Exif()
    kept.load(picture.exif)
    assert 0x0112 not in kept
    assert kept.get_ifd(0x8769)[0x9003] == "2026:01:02 03:04:05"
    assert kept.get_ifd(0x8825)[1] == "N"


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF"])
def test_no_exif_where_there_is_none(photo: np.ndarray, format: str):
    assert pillow.read(saved(Image.fromarray(photo), format)).exif == b""


def test_stripped(see_through: np.ndarray, profile: bytes, swapped_profile: bytes):
    plain = pillow.stripped(Picture(see_through, profile, b"MM exif"))
    assert (plain.icc, plain.exif) == (b"", b"")
    assert np.abs(plain.pixels.astype(int) - see_through).max() <= 1
    converted = pillow.stripped(Picture(see_through, swapped_profile)).pixels
    assert np.abs(converted.astype(int) - see_through).max() > 20
    np.testing.assert_array_equal(converted[:, :, 3], see_through[:, :, 3])


@pytest.mark.parametrize("icc", [b"nonsense", bytes(200)])
def test_stripped_of_a_profile_that_is_none(photo: np.ndarray, icc: bytes):
    picture = pillow.stripped(Picture(photo, icc))
    assert "look different" in picture.notes[0]
    np.testing.assert_array_equal(picture.pixels, photo)


def test_metadata_too_large_to_keep(photo: np.ndarray):
    picture = pillow.read(saved(Image.fromarray(photo), "TIFF", icc_profile=bytes(2**22 + 1)))
    assert picture.icc == b"" and "not kept" in picture.notes[0]


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_frame_of_an_animation(format: str):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    options = {"lossless": True} if format == "WEBP" else {}
    data = saved(frames[0], format, save_all=True, append_images=frames[1:], **options)
    picture = pillow.read(data)
    assert "3 frames" in picture.notes[0]
    assert (picture.pixels == [255, 0, 0]).all()


# ---- what is refused


@pytest.mark.parametrize("data", [b"", b"hello, world\n", b"LIC\x01", bytes(1000)])
def test_not_an_image(data: bytes):
    with pytest.raises(NotAnImage, match="not a picture"):
        pixels_of(data)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "JPEG2000"])
def test_truncated(photo: np.ndarray, format: str):
    data = saved(Image.fromarray(photo), format)
    for size in {len(data) // 4, len(data) // 2, len(data) * 3 // 4}:
        with pytest.raises((DamagedImage, NotAnImage)) as caught:
            pixels_of(data[:size])
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
                pixels = pixels_of(bytes(data))
            except (DamagedImage, NotAnImage, UnsupportedImage, ImageTooLarge):
                continue
            assert pixels.dtype in (np.uint8, np.uint16) and pixels.shape[2] in (1, 2, 3, 4)


def test_decompression_bomb(photo: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    data = saved(Image.fromarray(photo))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ImageTooLarge, match="more than 200 pixels"):
        pixels_of(data)


def test_no_such_file_is_an_os_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        pixels_of(tmp_path / "none.png")


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
    assert pillow.format_of(name) == format


@pytest.mark.parametrize("name", ["a", "a.bin", "a.xyz", "png", ".png"])
def test_no_format_by_that_extension(name: str):
    with pytest.raises(UnknownFormat, match=r"use \.png"):
        pillow.format_of(name)


def test_writes_what_it_was_given(photo: np.ndarray):
    file = io.BytesIO()
    pillow.write(Picture(photo), file)
    np.testing.assert_array_equal(pixels_of(file.getvalue()), photo)


def test_larger_than_the_format_allows():
    with pytest.raises(UnwritableImage, match="WEBP"):
        pillow.write(Picture(np.zeros((1, 20_000, 1), np.uint8)), io.BytesIO(), "WEBP")


def test_alpha_that_the_format_does_not_hold(see_through: np.ndarray):
    with pytest.raises(UnwritableImage, match="JPEG"):
        pillow.write(Picture(see_through), io.BytesIO(), "JPEG")
