"""The common face of the lossless coders: the better one is taken, and the estimate is near."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lictor.entropy import CorruptStream
from lictor.models import lossless
from lictor.models.lossless import choice, photo, screen

pytestmark = pytest.mark.skipif(not lossless.available(), reason="the C extensions were not built")


def page(height: int, width: int) -> np.ndarray:
    image = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(image)
    for line in range(0, height, 14):
        pen.text(
            (3, line), f"{line} jackdaws love my big sphinx of quartz " * 3, (20, line % 255, 90)
        )
    return np.asarray(image)


def picture(height: int, width: int) -> np.ndarray:
    return pytest.importorskip("skimage.data").astronaut()[:height, :width]


def goes_and_comes(pixels: np.ndarray, depth: int = 8, mask: np.ndarray | None = None) -> bytes:
    data = lossless.encode(pixels, depth, mask)
    back = lossless.decode(data, pixels.shape, depth, mask)
    want = pixels
    if mask is not None:
        height, width = pixels.shape[:2]
        want = pixels * np.kron(mask, np.ones((64, 64), bool))[:height, :width, None]
    np.testing.assert_array_equal(back, want)
    return data


def test_screens_go_to_one_coder_and_photos_to_the_other():
    assert goes_and_comes(page(150, 300))[0] == choice.SCREEN
    assert goes_and_comes(picture(150, 300))[0] == choice.PHOTO


def test_a_page_with_a_photo_is_no_longer_than_by_either():
    pixels = page(256, 320).copy()
    pixels[64:192, 64:256] = picture(128, 192)
    data = goes_and_comes(pixels)
    assert len(data) <= 1 + min(len(coder.encode(pixels, 8)) for coder in (photo, screen))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [1, 8, 10, 16])
def test_round_trips(channels: int, depth: int):
    rng = np.random.default_rng(channels)
    for shape in ((1, 1), (1, 70), (65, 2), (130, 70)):
        noise = rng.integers(0, 2**depth, (*shape, channels))
        flat = np.where(rng.random((*shape, 1)) < 0.1, noise, 2**depth - 1)
        for pixels in (noise, flat):
            pixels = pixels.astype(np.uint8 if depth <= 8 else np.uint16)
            goes_and_comes(pixels, depth)
            assert lossless.estimate(pixels) >= 1


def test_masks_and_both_coders():
    pixels = page(190, 200).copy()
    pixels[:, 100:] = picture(190, 100)
    rng = np.random.default_rng(2)
    for _ in range(4):
        goes_and_comes(pixels, mask=rng.random((3, 4)) < 0.6)
    drawn = np.zeros((3, 4), bool)
    drawn[:, :2] = True
    data = choice._encode_both(pixels, 8, drawn, ~drawn)
    np.testing.assert_array_equal(lossless.decode(data, pixels.shape, 8), pixels)
    with pytest.raises(CorruptStream):
        lossless.decode(data, pixels.shape, 8, ~drawn)
    for length in range(0, len(data), 997):
        with pytest.raises(CorruptStream):
            lossless.decode(data[:length], pixels.shape, 8)
    for at in (0, 1, 2, 3, 4, 5, 6, 9, len(data) // 2, len(data) - 1):
        bad = bytearray(data)
        bad[at] ^= 0x90
        with pytest.raises(CorruptStream):
            lossless.decode(bytes(bad), pixels.shape, 8)


def test_unknown_coders_are_refused():
    for data in (b"", b"\x03", b"\xff" + bytes(30)):
        with pytest.raises(CorruptStream):
            lossless.decode(data, (4, 4, 3), 8)


@pytest.mark.parametrize("name", ["page", "repeats", "photo", "gray", "deep", "noise"])
def test_the_estimate_is_near(name: str):
    pixels = {
        "page": lambda: page(250, 400),
        "repeats": lambda: np.tile(page(50, 300), (6, 1, 1)),
        "photo": lambda: picture(300, 400),
        "gray": lambda: picture(300, 400)[..., 1:2],
        "deep": lambda: picture(200, 200).astype(np.uint16) * 257 ^ 0b1011_0110,
        "noise": lambda: np.random.default_rng(1).integers(0, 256, (200, 200, 3), np.uint8),
    }[name]()
    depth = 8 if pixels.dtype == np.uint8 else 16
    real = len(lossless.encode(pixels, depth))
    assert 0.2 * real < lossless.estimate(np.ascontiguousarray(pixels)) < 1.6 * real


def test_halves_of_blocks_are_averaged_as_they_are():
    values = np.zeros((65, 130), bool)
    values[64] = True
    values[:, 128:] = True
    means = choice.block_means(values)
    np.testing.assert_allclose(means, [[0, 0, 1], [1, 1, 1]])
