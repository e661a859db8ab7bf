"""Pictures that end early: taken if all pixels are there; else refused, or what is there is."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from lictor.codec import PictureWarning, api
from lictor.codec.errors import CodecError, DamagedImage
from lictor.codec.image import pillow, rescue

JPEG = {"format": "JPEG", "quality": 90}
KINDS = {
    "baseline": {**JPEG, "subsampling": 0},
    "subsampled": {**JPEG, "subsampling": 2},
    "restarts": {**JPEG, "restart_marker_blocks": 3},
    "png": {"format": "PNG"},
    "tiff": {"format": "TIFF"},
    "bmp": {"format": "BMP"},
    "ppm": {"format": "PPM"},
    "gif": {"format": "GIF"},
}


@pytest.fixture
def part(china: np.ndarray) -> np.ndarray:
    """uint8 (90, 132, 3)."""
    return np.ascontiguousarray(china[200:290, 300:432])


def saved(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "options, cut",
    [
        ({**JPEG}, 1),
        ({**JPEG}, 2),
        ({**JPEG, "progressive": True}, 2),
        ({"format": "PNG"}, 12),
        ({"format": "PNG"}, 17),
    ],
)
def test_a_missing_end_mark_is_said(part: np.ndarray, options: dict, cut: int):
    data = saved(part, **options)
    whole = pillow.read(data)
    picture = pillow.read(data[:-cut])
    assert whole.notes == () and picture.lost == ()
    assert picture.notes == ("ends without its end mark; all of its pixels are there",)
    np.testing.assert_array_equal(picture.pixels, whole.pixels)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_there_of_a_cut_file(part: np.ndarray, kind: str):
    """At any place: pixels that are not told to be missing are right, and few are missing."""
    data = saved(part, **KINDS[kind])
    whole = pillow.read(data).pixels.astype(int)
    taken = 0
    for size in range(len(data) // 4, len(data) - 200, len(data) // 9):
        with pytest.raises(DamagedImage, match=r"missing.*--salvage"):
            pillow.read(data[:size])
        found = rescue.read(data[:size], KINDS[kind]["format"])
        assert found is not None
        picture = pillow.read(data[:size], salvage=True)
        assert len(picture.lost) == 1 and "missing, and painted over" in picture.lost[0]
        right = ~found.missing
        # Chroma of the block beside the cut is interpolated with what is not there.
        slack = 0 if kind != "subsampled" and kind != "restarts" else 60
        assert np.abs(picture.pixels.astype(int) - whole)[right].max(initial=0) <= slack
        taken += right.sum()
    assert taken > 0.3 * 6 * right.size


@pytest.mark.parametrize("more", [{}, {"restart_marker_blocks": 5}, {"progressive": True}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_that_lacks_a_few_bits_is_not_taken_for_whole(
    part: np.ndarray, mode: str, more: dict
):
    """Cut at each of many bytes: none is taken unless it decodes to the same pixels."""
    picture = np.asarray(Image.fromarray(part).convert(mode))
    for quality in (10, 50, 92):
        data = saved(picture, format="JPEG", quality=quality, **more)
        whole = pillow.read(data).pixels
        taken = 0
        for size in [*range(len(data) - 120, len(data)), *range(700, len(data) - 120, 97)]:
            try:
                found = pillow.read(data[:size])
            except CodecError:
                continue
            taken += 1
            np.testing.assert_array_equal(found.pixels, whole)
        assert taken >= 2


def test_scans_that_are_missing_of_a_progressive_jpeg(part: np.ndarray):
    data = saved(part, **JPEG, progressive=True)
    whole = pillow.read(data).pixels.astype(int)
    for size in range(len(data) // 2, len(data) - 2, 211):
        with pytest.raises(DamagedImage, match="scans"):
            pillow.read(data[:size])
        picture = pillow.read(data[:size], salvage=True)
        assert "scans" in picture.lost[0]
        assert np.abs(picture.pixels - whole).mean() < 15


def test_rows_that_are_missing_are_counted(part: np.ndarray):
    data = saved(part, format="PPM")
    with pytest.raises(DamagedImage, match="20 of its 90 rows of pixels missing"):
        pillow.read(data[: -20 * 132 * 3])


def interlaced_png(levels: np.ndarray) -> bytes:
    """Gray of 8 bits in Adam7's order."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    starts = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2))
    rows = b"".join(
        b"\0" + line.tobytes()
        for top, left, down, across in (*starts, (1, 0, 2, 1))
        for line in levels[top::down, left::across]
    )
    head = struct.pack(">IIBBBBB", *levels.shape[::-1], 8, 0, 0, 0, 1)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_missing_pixels_of_an_interlaced_png_are_drawn_from_those_around():
    levels = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    data = interlaced_png(levels)
    np.testing.assert_array_equal(pillow.read(data).pixels[:, :, 0], levels)
    picture = pillow.read(data[: len(data) * 4 // 10], salvage=True)
    assert "of its pixels missing" in picture.lost[0]
    assert np.abs(picture.pixels[:, :, 0].astype(int) - levels).max() <= 4


def test_16_bits(part: np.ndarray):
    deep = part.astype(np.uint16) * 257 ^ np.uint16(77)
    file = io.BytesIO()
    pillow.write(pillow.Picture(deep), file, "PNG")
    data = file.getvalue()
    picture = pillow.read(data[: len(data) // 2], salvage=True)
    found = rescue.read(data[: len(data) // 2], "PNG")
    assert picture.pixels.dtype == np.uint16 and found is not None
    right = ~found.missing
    np.testing.assert_array_equal(picture.pixels[right], deep[right])
    assert 0.2 < right.mean() < 0.8


def test_turned_pictures_miss_the_right_pixels(part: np.ndarray):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(part, **JPEG, exif=exif)
    whole = pillow.read(data).pixels.astype(int)
    picture = pillow.read(data[: len(data) // 2], salvage=True)
    assert picture.pixels.shape == (132, 90, 3)
    wrong = np.abs(picture.pixels - whole).max(axis=2) > 0
    assert wrong[:, :20].any() and not wrong[:, -30:].any()


def test_wrong_checksums_are_not_taken_for_whole(part: np.ndarray):
    data = bytearray(saved(part, format="PNG"))
    data[-20] ^= 1  # of the last IDAT
    with pytest.raises(DamagedImage):
        pillow.read(bytes(data))
    picture = pillow.read(bytes(data), salvage=True)
    assert picture.lost


@pytest.mark.parametrize("format", ["WEBP", "JPEG2000", "PNG", "JPEG"])
def test_where_there_is_nothing_there_is_an_error(part: np.ndarray, format: str):
    data = saved(part, format=format)
    for size in (0, 1, 20, 60):
        with pytest.raises(CodecError):
            pillow.read(data[:size], salvage=True)


def test_damaged_anywhere(part: np.ndarray):
    random = np.random.default_rng(4)
    for options in KINDS.values():
        good = saved(part, **options)
        for _ in range(15):
            data = bytearray(good)
            for at in random.integers(0, len(data), 3):
                data[at] = random.integers(256)
            data = data[: random.integers(len(data))]
            try:
                picture = pillow.read(bytes(data), salvage=True)
            except CodecError as e:
                assert len(str(e).splitlines()) == 1
            else:
                assert picture.lost or picture.notes or picture.pixels.size


def test_an_image_in_python(part: np.ndarray):
    data = saved(part, **JPEG)
    with Image.open(io.BytesIO(data[:-800])) as opened, pytest.raises(DamagedImage):
        api.encode(opened, model="fake.pixels")
    with (
        Image.open(io.BytesIO(data[:-800])) as opened,
        pytest.warns(PictureWarning, match="missing"),
    ):
        coded = api.encode(opened, model="fake.pixels", salvage=True)
    assert api.decode(coded).size == (132, 90)
