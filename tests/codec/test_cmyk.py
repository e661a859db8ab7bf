"""Pictures made for printing: converted by the profile they bring, whatever file they lie in."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from lictor.codec.image import pillow

SWOP = Path("/usr/share/color/icc/ghostscript/default_cmyk.icc")
INKS = {
    (0, 0, 0, 0): (255, 255, 255),
    (255, 0, 0, 0): (255, 0, 255),  # in this press cyan and magenta are exchanged
    (0, 255, 0, 0): (0, 255, 255),
    (0, 0, 255, 0): (255, 255, 0),
    (0, 255, 255, 0): (0, 255, 0),
    (0, 0, 0, 255): (0, 0, 0),
    (255, 255, 255, 255): (0, 0, 0),
}
"""CMYK, and about what it looks like by the profile of cmyk.py."""
BY_PROFILE = ("is CMYK; converted to sRGB by its colour profile",)


@pytest.fixture(scope="module")
def profile() -> bytes:
    spec = importlib.util.spec_from_file_location("cmyk", Path(__file__).with_name("cmyk.py"))
    assert spec and spec.loader
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.profile()


@pytest.fixture(scope="module")
def patches() -> np.ndarray:
    """A patch of 16x16 pixels for each of INKS, uint8 (16, 112, 4)."""
    return np.array([list(INKS)], np.uint8).repeat(16, axis=0).repeat(16, axis=1)


def saved(pixels: np.ndarray, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels, "CMYK").save(file, format, **options)
    return file.getvalue()


def tiff(pixels: np.ndarray, profile: bytes, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, photometric="separated", iccprofile=profile, **options)
    return file.getvalue()


def check(picture: pillow.Picture) -> None:
    """It looks as INKS says, to 60 levels in colours that sRGB has not, to 3 in others."""
    assert picture.pixels.shape == (16, 16 * len(INKS), 3) and picture.pixels.dtype == np.uint8
    assert picture.icc == b""  # of inks: a decoder could do nothing with it
    seen = picture.pixels[8, 8::16].astype(int)
    for colour, expected in zip(seen, INKS.values(), strict=True):
        saturated = sum(expected) not in (0, 765)
        assert np.abs(colour - expected).max() <= (60 if saturated else 3), (colour, expected)


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("JPEG", {"quality": 95, "subsampling": 0, "progressive": True}),
    ],
)
def test_own_profile(patches: np.ndarray, profile: bytes, format: str, options: dict[str, object]):
    picture = pillow.read(saved(patches, format, icc_profile=profile, **options))
    assert picture.notes == BY_PROFILE
    check(picture)


def test_without_the_profile_it_looks_otherwise(patches: np.ndarray):
    """Or the test above would prove nothing."""
    picture = pillow.read(saved(patches, "TIFF"))
    assert "without" in picture.notes[0]
    with pytest.raises(AssertionError):
        check(picture)


def test_sixteen_bits(patches: np.ndarray, profile: bytes):
    picture = pillow.read(tiff(patches.astype(np.uint16) * 257, profile))
    assert picture.notes[-1:] == BY_PROFILE and "read as 8" in picture.notes[0]
    check(picture)


def test_planes_apart(patches: np.ndarray, profile: bytes):
    data = tiff(patches.transpose(2, 0, 1).copy(), profile, planarconfig="separate")
    check(pillow.read(data))


def test_ycck(patches: np.ndarray, profile: bytes):
    """Photoshop's other way: inks as luma and chroma. Pillow writes it if lied to."""
    luma = np.asarray(Image.fromarray(patches[:, :, :3]).convert("YCbCr"))
    lie = np.dstack([255 - luma, patches[:, :, 3]])
    data = saved(lie, "JPEG", icc_profile=profile, quality=95, subsampling=0)
    mark = data.index(b"Adobe") + 11
    assert data[mark] == 0
    check(pillow.read(data[:mark] + b"\x02" + data[mark + 1 :]))


@pytest.mark.parametrize("format", ["TIFF", "JPEG"])
def test_damaged_profile_is_passed_over(patches: np.ndarray, profile: bytes, format: str):
    picture = pillow.read(saved(patches, format, icc_profile=profile[:700]))
    assert "without" in picture.notes[0] and picture.icc == b""


def test_xmp_does_no_harm(patches: np.ndarray, profile: bytes):
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + b" " * 40_000 + b"</x:xmpmeta>"
    data = saved(patches, "JPEG", icc_profile=profile, quality=95, subsampling=0, xmp=xmp)
    assert b"ns.adobe.com/xap" in data
    picture = pillow.read(data)
    check(picture)
    assert picture.exif == b""


@pytest.mark.skipif(not SWOP.is_file(), reason=f"{SWOP} is not here (package libgs-common)")
@pytest.mark.parametrize("format", ["TIFF", "JPEG"])
def test_a_photo_as_a_print_shop_has_it(china: np.ndarray, format: str):
    """Separated by a real profile, of several segments in a JPEG: what comes back is the photo."""
    press, srgb = SWOP.read_bytes(), ImageCms.createProfile("sRGB")
    inks = ImageCms.profileToProfile(
        Image.fromarray(china), srgb, io.BytesIO(press), outputMode="CMYK"
    )
    options = {"quality": 95, "subsampling": 0} if format == "JPEG" else {}
    data = saved(np.asarray(inks), format, icc_profile=press, **options)
    picture = pillow.read(data)
    assert picture.notes == BY_PROFILE and picture.icc == b""
    assert np.abs(picture.pixels.astype(int) - china).mean() < 5
    plain = pillow.read(saved(np.asarray(inks), format, **options))
    assert np.abs(plain.pixels.astype(int) - china).mean() > 10
