"""The linear method: what it makes is what its decoder makes, and near the picture."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

from lictor.entropy import CorruptStream
from lictor.models.coding.slope import water_level
from lictor.models.linear import coder

pytestmark = pytest.mark.skipif(not coder.available(), reason="the C extension was not built")

TESTS = Path(__file__).parents[1]
SHAPES = [(1, 1), (1, 97), (83, 1), (2, 3), (67, 130)]


def made(kind: str, shape: tuple[int, int, int], dtype: type = np.uint8) -> np.ndarray:
    """Pixels of a kind, the same each time."""
    rng = np.random.default_rng(7)
    top = np.iinfo(dtype).max
    y, x, c = np.indices(shape)
    values = {
        "noise": rng.integers(0, top + 1, shape),
        "smooth": top * (0.5 + 0.4 * np.sin(x / 9 + c) * np.cos(y / 7)),
        "stripes": top * (x % 2),
        "checks": top * ((x + y) % 2),
        "black": np.zeros(shape),
        "extremes": top * rng.integers(0, 2, shape),
    }[kind]
    return np.clip(values, 0, top).astype(dtype)


def error(a: np.ndarray, b: np.ndarray) -> float:
    """Mean squared, on 0…255."""
    scale = 255 / np.iinfo(a.dtype).max
    return float(np.square((a.astype(float) - b) * scale).mean())


@pytest.mark.parametrize("kind", ["noise", "smooth", "stripes", "checks", "black", "extremes"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_decoded_is_what_was_made_and_near(kind: str, dtype: type, channels: int):
    for shape in SHAPES:
        pixels = made(kind, (*shape, channels), dtype)
        before = pixels.copy()
        for quality in (0, 50, 100):
            coded = coder.encode(pixels, coder.step_of(quality, channels))
            np.testing.assert_array_equal(pixels, before)
            back = coder.decode(coded.stream, pixels.shape, 8 * pixels.itemsize)
            np.testing.assert_array_equal(back, coded.pixels)
            assert back.dtype == pixels.dtype
            if min(shape) > 2:  # of a few pixels of noise each may be at the edge of its step
                assert error(pixels, back) < 1.3 * water_level(quality)


def test_finer_steps_come_as_near_as_one_likes():
    pixels = made("noise", (64, 128, 3))
    errors = []
    for fineness in (0, 8, 16, 31):
        fine = np.array([[0, fineness]], np.uint8)
        coded = coder.encode(pixels, 20.0, fineness=fine)
        np.testing.assert_array_equal(coder.decode(coded.stream, pixels.shape, 8), coded.pixels)
        errors.append(error(pixels[:, 64:], coded.pixels[:, 64:]))
        assert error(pixels[:, :64], coded.pixels[:, :64]) > 20
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.1
    assert error(pixels, coder.encode(pixels, coder.LEAST_STEP).pixels) < 0.02


def test_bits_of_blocks_are_those_of_the_stream():
    pixels = np.concatenate([made("noise", (64, 64, 3)), made("black", (64, 64, 3))], 1)
    coded = coder.encode(pixels, 10.0)
    assert coded.bits[0, 0] > 300 * coded.bits[0, 1]
    assert abs(coded.bits.sum() / 8 - len(coded.stream)) < 40


@pytest.mark.parametrize("channels", [1, 3])
def test_masks(channels: int):
    rng = np.random.default_rng(3)
    pixels = made("smooth", (200, 150, channels))
    for share in (0, 0.3, 0.7, 1):
        mask = rng.random((4, 3)) < share
        coded = coder.encode(pixels, 10.0, mask)
        shown = np.kron(mask, np.ones((64, 64), bool))[:200, :150]
        assert not coded.pixels[~shown].any()
        assert not coded.bits[~mask].any()
        np.testing.assert_array_equal(
            coder.decode(coded.stream, pixels.shape, 8, mask), coded.pixels
        )
        # What is not coded does not matter: but for the colours, chosen for the whole picture.
        if channels == 1:
            other = pixels.copy()
            other[~shown] = 255 - other[~shown]
            assert coder.encode(other, 10.0, mask).stream == coded.stream


def test_every_byte_and_every_length_counts():
    pixels = made("smooth", (64, 70, 3))
    coded = coder.encode(pixels, 12.0)
    stream, back = coded.stream, coded.pixels
    for size in range(len(stream)):
        with pytest.raises(CorruptStream):
            coder.decode(stream[:size], pixels.shape, 8)
    with pytest.raises(CorruptStream):
        coder.decode(stream + b"\0", pixels.shape, 8)
    survived = 0
    for at in range(len(stream)):
        bad = bytearray(stream)
        bad[at] ^= 1 << at % 8
        try:  # what lies outside of the picture may change, and the matrix by 2^-14
            np.testing.assert_array_equal(coder.decode(bytes(bad), pixels.shape, 8), back)
            survived += 1
        except CorruptStream:
            continue
    assert survived < len(stream) / 20


def test_chance_is_no_stream():
    rng = np.random.default_rng(1)
    for _ in range(100):
        data = rng.bytes(int(rng.integers(0, 400)))
        with pytest.raises(CorruptStream):
            coder.decode(data, (130, 70, int(rng.choice([1, 3]))), int(rng.choice([8, 16])))


def test_photos_take_fewer_bytes_than_jpeg():
    data = pytest.importorskip("skimage.data")
    import io

    from PIL import Image

    photo = data.astronaut()
    coded = coder.encode(photo, coder.step_of(50, 3))
    for quality in range(95, 5, -5):
        file = io.BytesIO()
        Image.fromarray(photo).save(file, "JPEG", quality=quality, progressive=True)
        if error(photo, np.asarray(Image.open(file))) > error(photo, coded.pixels):
            break
    assert len(coded.stream) < 0.8 * file.getbuffer().nbytes


def test_the_same_bytes_everywhere():
    """Decoded, not encoded: choices of an encoder may be others where floats are."""
    pixels = made("smooth", (70, 130, 3)) // 2 + made("noise", (70, 130, 3)) // 4
    stream = coder.encode(pixels, 30.0).stream
    assert zlib.crc32(coder.decode(stream, pixels.shape, 8).tobytes()) == int.from_bytes(
        stream[:4], "little"
    )


@pytest.mark.parametrize(
    ("pixels", "step", "more"),
    [
        (np.zeros((4, 4), np.uint8), 8.0, {}),
        (np.zeros((4, 4, 2), np.uint8), 8.0, {}),
        (np.zeros((0, 4, 3), np.uint8), 8.0, {}),
        (np.zeros((4, 4, 3), np.float32), 8.0, {}),
        (np.zeros((4, 4, 3), np.uint8), 0.1, {}),
        (np.zeros((4, 4, 3), np.uint8), 256.0, {}),
        (np.zeros((4, 4, 3), np.uint8), 8.0, {"mask": np.ones((2, 1), bool)}),
        (np.zeros((4, 4, 3), np.uint8), 8.0, {"fineness": np.full((1, 1), 32, np.uint8)}),
    ],
)
def test_what_does_not_fit_is_refused(pixels: np.ndarray, step: float, more: dict):
    with pytest.raises(ValueError, match=r"tile|samples|step"):
        coder.encode(pixels, step, **more)
