"""Every peer makes real files of its format, better ones at higher quality, of any size."""

from __future__ import annotations

import numpy as np
import pytest

from lictor.codec.api import psnr
from lictor.codec.bench import catalogue
from lictor.codec.bench.contender import Codec, Missing
from lictor.codec.picture.classifier_view import rgb

NAMES = [
    "jpeg-420-prog",
    "jpeg-422-opt",
    "jpeg-444-prog",
    "webp-m6",
    "webp-m0",
    "jpeg2000-rate",
    "jpeg2000-db",
    "avif-aom-s6-444",
    "avif-aom-s8-420-psnr",
    "avif-aom-s10-422-ssim",
    "jxl-e3",
    "heic-x265-420",
    "heic-x265-444-psnr",
]
MAGIC = {
    ".jpg": (0, b"\xff\xd8\xff"),
    ".webp": (8, b"WEBP"),
    ".jp2": (4, b"jP  "),
    ".avif": (4, b"ftypavif"),
    ".jxl": (0, b"\xff\x0a"),
    ".heic": (4, b"ftyphei"),
}


def find(name: str) -> Codec:
    try:
        return catalogue.find(name)
    except Missing as e:
        pytest.skip(str(e))


@pytest.mark.parametrize("name", NAMES)
def test_more_quality_is_more_bytes_and_a_nearer_picture(name: str, china: np.ndarray):
    codec, pixels = find(name), np.ascontiguousarray(china[100:228, 200:360])
    assert codec.name == name
    low, high = codec.qualities[1], codec.qualities[-1]
    coded = [codec.encode(pixels, quality) for quality in (low, high)]
    near = [psnr(pixels, codec.decode(data)) for data in coded]
    assert len(coded[0]) < len(coded[1])
    assert 15 < near[0] < near[1] - 3
    at, magic = MAGIC[codec.suffix]
    assert all(data[at : at + len(magic)] == magic for data in coded)


@pytest.mark.parametrize("name", NAMES)
def test_odd_sides_and_gray(name: str, photo: np.ndarray):
    codec = find(name)
    big = np.pad(photo, ((20, 20), (20, 20), (0, 0)), mode="symmetric")  # odd, above any minimum
    for pixels in (big, np.ascontiguousarray(big[:, :, :1])):
        decoded = codec.decode(codec.encode(pixels, codec.qualities[-1]))
        assert decoded.dtype == np.uint8
        assert decoded.shape[:2] == pixels.shape[:2]
        assert psnr(rgb(pixels), rgb(decoded)) > 22


def test_jpeg_2000_hits_its_rate(china: np.ndarray):
    codec = find("jpeg2000-rate")
    data = codec.encode(china, 0.5)
    assert 8 * len(data) / (china.shape[0] * china.shape[1]) == pytest.approx(0.5, rel=0.02)
    gray = codec.encode(np.ascontiguousarray(china[:, :, :1]), 0.5)
    assert len(gray) == pytest.approx(len(data), rel=0.02)


def test_tune_psnr_is_passed_on(china: np.ndarray):
    pixels = np.ascontiguousarray(china[:128, :128])
    assert find("avif-444").encode(pixels, 40) != find("avif-444-psnr").encode(pixels, 40)


@pytest.mark.parametrize(
    "name, quality, fault",
    [
        ("jpeg", 0, "not within 1 to 100"),
        ("avif", 50.5, "not a whole number"),
        ("jpeg2000", 50, "not within 0.01 to 16"),
        ("webp", 50.5, None),
    ],
)
def test_scales(name: str, quality: float, fault: str | None):
    found = find(name).scale.fault(quality)
    assert found is None if fault is None else fault in (found or "")
