"""Alpha comes back exactly, and hostile planes end in a named error."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from PIL import features

from lictor.codec.errors import CorruptFile, FileError, UnsupportedFeature, UnsupportedImage
from lictor.codec.picture import alpha


def there_and_back(plane: np.ndarray) -> np.ndarray:
    return alpha.unpack(alpha.pack(plane), *plane.shape, 8 * plane.itemsize)


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    y, x = np.mgrid[:70, :90]
    return np.clip(255 * (30 - np.hypot(y - 35, x - 45)) / 4, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 1), (40, 50), (1025, 3), (2, 1030)])
def test_noise(shape: tuple[int, int], dtype: type):
    plane = np.random.default_rng(1).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    again = there_and_back(plane)
    assert again.dtype == dtype
    np.testing.assert_array_equal(again, plane)


def test_mask(mask: np.ndarray):
    np.testing.assert_array_equal(there_and_back(mask), mask)
    wide = mask.astype(np.uint16) * 257
    np.testing.assert_array_equal(there_and_back(wide), wide)
    assert len(alpha.pack(wide)) < 1.3 * len(alpha.pack(mask))


def test_constant_costs_next_to_nothing():
    assert alpha.pack(np.full((1000, 1000), 7, np.uint8)) == b"\0\x07"
    assert alpha.pack(np.full((1, 1), 0x1234, np.uint16)) == b"\0\x34\x12"
    assert len(alpha.pack(np.zeros((4096, 4096), np.uint8))) == 32


def test_bytes_of_a_plane():
    """Two pixels: the tile's length, VP8L's signature, and its width and height less one."""
    data = alpha.pack(np.array([[0, 255]], np.uint8))
    assert data[0] == len(data) - 1
    assert data[1] == 0x2F
    assert int.from_bytes(data[2:6], "little") & 0xFFFFFFF == 1


def test_tiles_are_apart():
    plane = np.zeros((1500, 1500), np.uint8)
    plane[1200, 1300] = 255
    data = alpha.pack(plane)
    assert data[:6] == bytes(6)
    np.testing.assert_array_equal(there_and_back(plane), plane)


def test_truncated_at_every_byte(mask: np.ndarray):
    data = alpha.pack(mask)
    for size in range(len(data)):
        with pytest.raises(CorruptFile):
            alpha.unpack(data[:size], *mask.shape, 8)


def test_damaged_anywhere(mask: np.ndarray):
    """No CRC is asked here: a damaged tile ends in a named error or in some plane."""
    data = alpha.pack(mask)
    random = np.random.default_rng(2)
    for _ in range(300):
        damaged = bytearray(data)
        damaged[random.integers(len(data))] ^= 1 << random.integers(8)
        try:
            plane = alpha.unpack(bytes(damaged), *mask.shape, 8)
        except FileError:
            continue
        assert plane.shape == mask.shape


def test_bytes_after_the_last_tile():
    with pytest.raises(CorruptFile, match="follow"):
        alpha.unpack(b"\0\x07\0", 5, 5, 8)


@pytest.mark.parametrize("tile", [b"\0" * 30, b"RIFF" + bytes(30), b"\x2f" + bytes(30), b"\x2f"])
def test_tile_that_is_none(tile: bytes):
    with pytest.raises(CorruptFile, match="damaged"):
        alpha.unpack(bytes([len(tile)]) + tile, 5, 5, 8)


def test_tile_that_says_it_is_huge(mask: np.ndarray):
    """The size in the tile is looked at before any memory is taken for it."""
    data = bytearray(alpha.pack(mask))
    data[3:7] = (0x0FFFFFFF).to_bytes(4, "little")  # 16384x16384, one gigabyte
    tracemalloc.start()
    with pytest.raises(CorruptFile, match="damaged"):
        alpha.unpack(bytes(data), *mask.shape, 8)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_length_that_no_file_has():
    with pytest.raises(CorruptFile):
        alpha.unpack(b"\xff\xff\xff\xff\x0f", 5, 5, 8)


def test_pillow_without_webp(mask: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    data = alpha.pack(mask)
    monkeypatch.setattr(features, "check", lambda _: False)
    with pytest.raises(UnsupportedImage, match="WebP"):
        alpha.pack(mask)
    with pytest.raises(UnsupportedFeature, match="WebP"):
        alpha.unpack(data, *mask.shape, 8)
