"""What users give: alpha in every carrier, colour modes, valid files of rare kinds, true words."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from lictor.codec import PictureWarning, api
from lictor.codec.errors import CodecError, DamagedImage, NotAnImage, UnsupportedImage
from lictor.codec.image import modes as colour_modes
from lictor.codec.image import pillow, sixteen_bit
from lictor.codec.image.pillow import Picture

MODEL = "fake.pixels"


def saved(picture: Image.Image, format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, metadata=None, **options)
    return file.getvalue()


# ---- alpha in every carrier


def gray_png(levels: np.ndarray, bits: int, key: int) -> bytes:
    """A PNG of few bits a sample whose gray `key` is transparent, which Pillow cannot write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    height, width = levels.shape
    each = levels[:, :, None] >> np.arange(bits)[::-1] & 1
    rows = np.packbits(each.astype(np.uint8).reshape(height, -1), axis=1)
    rows = np.hstack([np.zeros((height, 1), np.uint8), rows])
    head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"tRNS", struct.pack(">H", key))
    body += chunk(b"IDAT", zlib.compress(rows.tobytes())) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_transparent_gray_of_any_depth(bits: int):
    levels = np.arange(15 * 21).reshape(15, 21) * 7919 % 2**bits
    key = int(levels[3, 4])
    picture = pillow.read(gray_png(levels, bits, key))
    most = np.iinfo(picture.pixels.dtype).max
    np.testing.assert_array_equal(picture.alpha, np.where(levels == key, 0, most))
    np.testing.assert_array_equal(picture.colours[:, :, 0], levels * most // (2**bits - 1))


def test_bits_of_a_transparent_gray_that_do_not_count():
    levels = np.arange(12).reshape(3, 4) % 4
    picture = pillow.read(gray_png(levels, 2, 0x0102))
    np.testing.assert_array_equal(picture.alpha == 0, levels == 2)


def test_bilevel_image_with_a_transparent_value(photo: np.ndarray):
    bilevel = Image.fromarray(photo).convert("1")
    picture = pillow.read(saved(bilevel, transparency=255))
    np.testing.assert_array_equal(picture.alpha == 0, np.asarray(bilevel))


@pytest.mark.parametrize("mode", ["P", "PA", "La", "RGBa", "LA"])
def test_alpha_of_images_in_memory(photo: np.ndarray, mode: str):
    alpha = np.clip(np.add.outer(np.arange(31), np.arange(45)) * 6 - 100, 0, 255)
    rgba = Image.fromarray(np.dstack([photo, alpha.astype(np.uint8)]))
    if mode == "P":
        given = rgba.quantize(64)
        assert given.palette.mode == "RGBA"
    elif mode == "PA":
        given = rgba.convert("RGB").quantize(64).convert("PA")
        given.putalpha(rgba.getchannel("A"))
    else:
        given = rgba.convert({"La": "LA"}.get(mode, mode)).convert(mode)
    expected = np.asarray((given.convert("LA") if mode == "La" else given).convert("RGBA"))
    picture = pillow.from_pillow(given)
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha, expected[:, :, 3])
    assert (picture.colours == expected[:, :, :3]).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("kind", ["assocalpha", "unassalpha"])
def test_alpha_in_tiff(china: np.ndarray, kind: str, channels: int, dtype: type):
    most = np.iinfo(dtype).max
    straight = china[200:240, 300:340, : channels - 1].astype(dtype) * dtype(most // 255)
    alpha = np.linspace(most // 4, most, 40 * 40).reshape(40, 40, 1).astype(dtype)
    given = straight
    if kind == "assocalpha":
        given = np.rint(straight.astype(float) * alpha / most).astype(dtype)
    photometric = "rgb" if channels == 4 else "minisblack"
    data = tiff(
        np.dstack([given, alpha]),
        photometric=photometric,
        extrasamples=[kind],
        planarconfig="contig",
    )
    picture = pillow.read(data)
    assert picture.pixels.dtype == dtype and not picture.notes
    np.testing.assert_array_equal(picture.alpha, alpha[:, :, 0])
    assert np.abs(picture.colours.astype(float) - straight).max() <= 4


# ---- colour modes


@pytest.mark.parametrize("mode", ["YCbCr", "HSV"])
def test_modes_that_a_plain_conversion_serves(photo: np.ndarray, mode: str):
    picture = pillow.from_pillow(Image.fromarray(photo).convert(mode))
    assert mode in picture.notes[0]
    assert np.abs(picture.pixels.astype(int) - photo).max() <= 8


@pytest.mark.parametrize("through_a_file", [False, True])
def test_lab(photo: np.ndarray, through_a_file: bool):
    profiles = (ImageCms.createProfile(space) for space in ("sRGB", "LAB"))
    lab = ImageCms.profileToProfile(Image.fromarray(photo), *profiles, outputMode="LAB")
    picture = pillow.read(saved(lab, "TIFF")) if through_a_file else pillow.from_pillow(lab)
    assert "CIELAB" in picture.notes[0]
    assert np.abs(picture.pixels.astype(int) - photo).mean() < 2


@pytest.mark.parametrize(
    "mode, values, expected",
    [
        ("I", [0, 100, 255], [0, 100, 255]),
        ("I", [0, 256, 65535], [0, 256, 65535]),
        ("F", [0, 0.5, 1], [0, 32768, 65535]),
        ("F", [0, 100, 255], [0, 100, 255]),
    ],
)
@pytest.mark.parametrize("through_a_file", [False, True])
def test_numbers_whose_range_is_known(
    mode: str, values: list, expected: list, through_a_file: bool
):
    given = Image.fromarray(np.array([values], np.int32 if mode == "I" else np.float32))
    assert given.mode == mode
    picture = pillow.read(saved(given, "TIFF")) if through_a_file else pillow.from_pillow(given)
    assert picture.pixels.ravel().tolist() == expected
    assert picture.depth == (16 if max(expected) > 255 else 8)
    assert "numbers" in picture.notes[0] or "integers" in picture.notes[0]


def test_numbers_whose_range_the_file_states():
    values = np.linspace(-20, 60, 12, dtype=np.float32).reshape(3, 4)
    data = tiff(values, extratags=[(340, 11, 1, -10.0, True), (341, 11, 1, 50.0, True)])
    picture = pillow.read(data)
    assert "-10 to 50" in picture.notes[0]
    expected = np.rint((values.clip(-10, 50) + 10) / 60 * 65535)
    np.testing.assert_allclose(picture.pixels[:, :, 0], expected, atol=1)


@pytest.mark.parametrize(
    "values", [[0.2, 7.5], [-1, 3], [0, 65536], [0, float("nan")], [0, float("inf")]]
)
def test_numbers_that_mean_nothing_certain(values: list):
    with pytest.raises(UnsupportedImage):
        pillow.from_pillow(Image.fromarray(np.array([values], np.float32)))


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I;16N"])
def test_every_order_of_bytes(mode: str):
    values = np.arange(0, 60000, 5000, dtype=np.uint16).reshape(3, 4)
    order = ">u2" if mode == "I;16B" else "u2" if mode == "I;16N" else "<u2"
    given = Image.frombytes(mode, (4, 3), values.astype(order).tobytes())
    np.testing.assert_array_equal(pillow.from_pillow(given).pixels[:, :, 0], values)


# ---- frames


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_frame_that_an_image_stands_on(format: str):
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    frames = [Image.new("RGB", (8, 8), colour) for colour in colours]
    options = {"lossless": True} if format == "WEBP" else {}
    data = saved(frames[0], format, save_all=True, append_images=frames[1:], **options)
    for number, colour in enumerate(colours):
        with Image.open(io.BytesIO(data)) as opened:
            opened.seek(number)
            picture = pillow.from_pillow(opened)
        assert (picture.pixels == colour).all()
        assert ("the first" if number == 0 else f"number {number + 1} ") in picture.notes[0]


def test_the_page_of_16_bits_that_an_image_stands_on(tmp_path: Path):
    pages = np.random.default_rng(1).integers(0, 65536, (2, 9, 7, 3), np.uint16)
    data = tiff(pages, photometric="rgb")
    with Image.open(io.BytesIO(data)) as opened:
        opened.seek(1)
        np.testing.assert_array_equal(pillow.from_pillow(opened).pixels, pages[1])


def test_sizes_of_an_icon_that_are_left_out(photo: np.ndarray):
    picture = pillow.read(saved(Image.fromarray(photo), "ICO", sizes=[(16, 16), (31, 31)]))
    assert "2 pictures" in picture.notes[0]


def test_python_is_told_by_a_warning(photo: np.ndarray):
    given = Image.fromarray(photo).convert("YCbCr")
    with pytest.warns(PictureWarning, match="is YCbCr"):
        api.encode(given, model=MODEL)


# ---- valid files of rare kinds, and true words


def test_plain_bitmap():
    picture = pillow.read(b"P1\n4 2\n0 1 0 1\n1 0 1 0\n")
    assert picture.pixels[:, :, 0].tolist() == [[255, 0, 255, 0], [0, 255, 0, 255]]


def psd(pixels: np.ndarray, layers: int) -> bytes:
    """A PSD with empty layers: Pillow counts its frames from 1, and has none at 0."""
    height, width, channels = pixels.shape
    head = struct.pack(">4sH6xHIIHH", b"8BPS", 1, channels, height, width, 8, 3)
    record = struct.pack(">4iH", 0, 0, 0, 0, 0) + b"8BIMnorm" + bytes([255, 0, 0, 0])
    record += struct.pack(">I", 0)
    info = struct.pack(">h", layers) + record * layers
    block = struct.pack(">I", len(info)) + info
    planes = pixels.transpose(2, 0, 1).tobytes()
    return head + bytes(8) + struct.pack(">I", len(block)) + block + b"\0\0" + planes


def test_layers(photo: np.ndarray):
    picture = pillow.read(psd(photo, 2))
    np.testing.assert_array_equal(picture.pixels, photo)
    assert picture.notes == ("has 2 layers; kept is what they show together",)
    assert pillow.read(psd(photo, 0)).notes == ()


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_bigtiff(photo: np.ndarray, channels: int, dtype: type, byteorder: str):
    pixels = np.dstack([photo, photo[:, :, :1] // 2])[:, :, :channels].astype(dtype)
    options = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    photometric = "minisblack" if channels == 1 else "rgb"
    data = tiff(
        pixels.squeeze(), photometric=photometric, bigtiff=True, byteorder=byteorder, **options
    )
    np.testing.assert_array_equal(pillow.read(data).pixels, pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_cmyk_that_only_tifffile_reads(photo: np.ndarray, dtype: type):
    inks = np.asarray(Image.fromarray(photo).convert("CMYK")).astype(dtype)
    inks = inks * dtype(np.iinfo(dtype).max // 255)
    picture = pillow.read(tiff(inks, photometric="separated", bigtiff=True, byteorder=">"))
    assert "CMYK" in picture.notes[-1]
    assert np.abs(picture.pixels.astype(int) - photo).max() <= 1


def test_palette_that_only_tifffile_reads():
    indexes = np.arange(256, dtype=np.uint8).reshape(16, 16)
    palette = np.random.default_rng(1).integers(0, 256, (3, 256)).astype(np.uint16) * 257
    data = tiff(indexes, photometric="palette", colormap=palette, bigtiff=True, byteorder=">")
    np.testing.assert_array_equal(pillow.read(data).pixels, (palette.T >> 8)[indexes])


def packed_tiff(bits: int, channels: int) -> bytes:
    """Zeros, of any number of bits."""
    row = -(-4 * channels * bits // 8)
    tags = {256: 4, 257: 2, 258: bits, 259: 1, 262: 2 if channels > 1 else 1, 273: 8, 277: channels}
    tags |= {278: 2, 279: 2 * row}
    start = 8 + 2 * row
    place = start + 2 + 12 * len(tags) + 4
    entries = b""
    for tag, value in tags.items():
        if tag == 258 and channels > 1:
            entries += struct.pack("<HHII", tag, 3, channels, place)
        else:
            entries += struct.pack("<HHII", tag, 4, 1, value)
    head = b"II*\0" + struct.pack("<I", start) + bytes(2 * row)
    return head + struct.pack("<H", len(tags)) + entries + bytes(4) + struct.pack("<H", bits) * 3


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [3, 5, 6, 7, 10, 14])
def test_odd_numbers_of_bits(bits: int, channels: int):
    """Read where imagecodecs is, and otherwise refused because it is not."""
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        with pytest.raises(UnsupportedImage, match="pip install imagecodecs"):
            pillow.read(packed_tiff(bits, channels))
    else:
        picture = pillow.read(packed_tiff(bits, channels))
        assert picture.depth == (8 if bits < 8 else 16) and not picture.pixels.any()


def test_bmp_of_5_6_and_5_bits_has_no_more_than_8(photo: np.ndarray):
    red, green, blue = photo.astype("<u2").transpose(2, 0, 1)
    values = red >> 3 << 11 | green >> 2 << 5 | blue >> 3
    height, width = values.shape
    rows = np.zeros((height, (width + 1) // 2 * 2), "<u2")
    rows[:, :width] = values[::-1]
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 16, 3, rows.nbytes, 0, 0, 0, 0)
    offset = 14 + len(head) + len(masks)
    file = struct.pack("<2sIII", b"BM", offset + rows.nbytes, 0, offset)
    picture = pillow.read(file + head + masks + rows.tobytes())
    assert picture.notes == ()
    assert np.abs(picture.pixels.astype(int) - photo).max() < 8


def test_jpeg_2000_of_more_than_8_bits(photo: np.ndarray):
    data = bytearray(saved(Image.fromarray(photo), "JPEG2000", no_jp2=True))
    assert pillow.read(bytes(data)).notes == ()
    at = data.index(b"\xff\x4f\xff\x51") + 4 + 38
    assert data[at] == 7
    data[at] = data[at + 3] = data[at + 6] = 11
    with Image.open(io.BytesIO(bytes(data))) as opened:
        assert sixteen_bit.is_reduced(opened)


def test_eps_needs_ghostscript(monkeypatch: pytest.MonkeyPatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "gs_binary", False)
    with pytest.raises(UnsupportedImage, match="install ghostscript"):
        pillow.read(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")


def test_bmp_with_masks_that_pillow_does_not_read():
    head = struct.pack("<IiiHHIIiiII", 40, 2, 2, 1, 16, 3, 8, 0, 0, 0, 0)
    masks = struct.pack("<III", 0x0F00, 0x00F0, 0x000F)
    data = struct.pack("<2sIII", b"BM", 74, 0, 66) + head + masks + bytes(8)
    with pytest.raises(UnsupportedImage, match="bitfields"):
        pillow.read(data)


@pytest.mark.parametrize(
    "start, name", [(b"\0\0\0\x18ftypheic", "HEIC"), (b"\xff\x0a", "JPEG XL"), (b"%PDF-1.7", "PDF")]
)
def test_pictures_of_formats_that_pillow_does_not_have(start: bytes, name: str):
    with pytest.raises(NotAnImage, match=f"is {name}"):
        pillow.read(start + bytes(100))


def test_beginning_of_a_picture():
    with pytest.raises(DamagedImage, match="begins as PNG"):
        pillow.read(b"\x89PNG\r\n\x1a\n" + bytes(30))


@pytest.mark.parametrize("where", [(colour_modes, "pixels"), (pillow, "_without_opaque_alpha")])
def test_an_error_of_our_own_is_no_damage(
    photo: np.ndarray, where: tuple, monkeypatch: pytest.MonkeyPatch
):
    def broken(*args: object) -> None:
        raise TypeError("our own mistake")

    monkeypatch.setattr(*where, broken)
    with pytest.raises(TypeError, match="our own"):
        pillow.read(saved(Image.fromarray(photo)))


def test_nothing_is_printed_of_damaged_files(capfd: pytest.CaptureFixture):
    data = bytearray(tiff(np.zeros((8, 8, 2), np.uint16), planarconfig="contig"))
    random = np.random.default_rng(3)
    for _ in range(50):
        bad = bytearray(data)
        for place in random.integers(8, len(bad), 4):
            bad[place] = random.integers(256)
        try:
            pillow.read(bytes(bad))
        except CodecError:
            continue
    assert capfd.readouterr() == ("", "")


# ---- what outputs do not hold


@pytest.mark.parametrize(
    "format, lost",
    [
        ("GIF", "alpha is kept only in part"),
        ("BMP", "alpha is not kept"),
        ("PPM", "alpha is not kept"),
        ("PCX", ""),
    ],
)
def test_what_a_format_does_not_hold_is_said(photo: np.ndarray, format: str, lost: str):
    alpha = np.clip(np.add.outer(np.arange(31), np.arange(45)) * 9 - 200, 0, 255)
    picture = Picture(np.dstack([photo, alpha.astype(np.uint8)]) if lost else photo)
    notes = pillow.write(picture, io.BytesIO(), format)
    assert lost in " ".join(notes)
    assert bool(notes) == bool(lost)


def test_an_icon_has_the_size_of_the_picture(photo: np.ndarray):
    file = io.BytesIO()
    alpha = np.full(photo.shape[:2], 9, np.uint8)
    assert pillow.write(Picture(np.dstack([photo, alpha])), file, "ICO") == ()
    with Image.open(file) as icon:
        assert icon.size == (45, 31)
        np.testing.assert_array_equal(np.asarray(icon)[:, :, 3], alpha)


def test_profile_and_exif_that_a_format_does_not_hold(photo: np.ndarray):
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    picture = Picture(photo, icc, exif.tobytes().removeprefix(b"Exif\0\0"))
    notes = pillow.write(picture, io.BytesIO(), "BMP")
    assert notes == (
        "BMP holds no colour profile; its colours may look different",
        "its EXIF is not kept in BMP",
    )
