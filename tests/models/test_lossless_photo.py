"""The lossless coder of photos gives back what it was given, and refuses the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lictor.entropy import CorruptStream
from lictor.models.lossless import photo

pytestmark = pytest.mark.skipif(not photo.available(), reason="the C extension was not built")

SHAPES = [(1, 1), (1, 97), (83, 1), (2, 3), (3, 70), (67, 33)]
KINDS = ["noise", "smooth", "stripes", "black", "white", "extremes"]


def made(kind: str, shape: tuple[int, int, int], depth: int) -> np.ndarray:
    """Pixels of a kind, the same each time."""
    rng = np.random.default_rng(7)
    top = 2**depth - 1
    y, x, c = np.indices(shape)
    values = {
        "noise": rng.integers(0, top + 1, shape),
        "smooth": top * (0.5 + 0.4 * np.sin(x / 9 + c) * np.cos(y / 7)) + rng.normal(0, 1, shape),
        "stripes": top * ((x // 3 + y // 5 + c) % 2),
        "black": np.zeros(shape),
        "white": np.full(shape, top),
        "extremes": top * rng.integers(0, 2, shape),
    }[kind]
    return np.clip(values, 0, top).astype(np.uint8 if depth <= 8 else np.uint16)


def goes_and_comes(pixels: np.ndarray, depth: int, **more) -> bytes:
    data = photo.encode(pixels, depth, **more)
    mask = more.get("mask")
    back = photo.decode(data, pixels.shape, depth, mask)
    want = pixels
    if mask is not None:
        height, width = pixels.shape[:2]
        want = pixels * np.kron(mask, np.ones((64, 64), bool))[:height, :width, None]
    assert back.dtype == pixels.dtype
    np.testing.assert_array_equal(back, want)
    return data


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [1, 2, 7, 8, 9, 12, 16])
def test_round_trip(kind: str, channels: int, depth: int):
    for shape in SHAPES:
        goes_and_comes(made(kind, (*shape, channels), depth), depth)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("channels", "depth"), [(1, 8), (3, 3), (3, 8), (3, 16), (4, 8)])
def test_every_flag_round_trips(kind: str, channels: int, depth: int):
    pixels = made(kind, (40, 35, channels), depth)
    for number in range(28 if channels > 2 else 4):
        flags = {"lift": bool(number & 1), "parity": bool(number & 2), "colours": number >> 2}
        goes_and_comes(pixels, depth, **flags)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("depth", [5, 8, 16])
def test_all_paths_give_the_same_bytes(kind: str, depth: int):
    """Versions for other CPUs, as far as this one can run them."""
    from lictor.models.lossless import _photo

    pixels = made(kind, (50, 70, 3), depth)
    size = *pixels.shape, depth, None
    streams = {_photo.encode(pixels, *size, 11, path) for path in range(_photo.paths)}
    assert len(streams) == 1
    for path in range(_photo.paths):
        back = np.zeros_like(pixels)
        assert _photo.decode(*streams, back, *size, path)
        np.testing.assert_array_equal(back, pixels)


def test_the_extension_checks_what_memory_rests_on():
    from lictor.models.lossless import _photo

    pixels = np.zeros((4, 5, 3), np.uint8)
    for size in ((4, 6, 3, 8), (4, 5, 4, 8), (4, 5, 3, 9), (0, 5, 3, 8), (4, 5, 3, 0)):
        with pytest.raises(ValueError, match="tile"):
            _photo.encode(pixels, *size, None, 0, 0)
        with pytest.raises(ValueError, match="tile"):
            _photo.decode(b"", pixels, *size, None, 0)
    for mask, flags, path in ((np.ones(2, bool), 0, 0), (None, 28, 0), (None, 0, 9), (None, -1, 0)):
        with pytest.raises(ValueError, match="tile"):
            _photo.encode(pixels, 4, 5, 3, 8, mask, flags, path)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_masks(channels: int):
    rng = np.random.default_rng(3)
    pixels = made("smooth", (200, 150, channels), 8)
    whole = len(goes_and_comes(pixels, 8))
    for share in (0, 0.3, 0.7, 1):
        mask = rng.random((4, 3)) < share
        data = goes_and_comes(pixels, 8, mask=mask)
        assert len(data) <= whole
    assert len(photo.encode(pixels, 8, np.zeros((4, 3), bool))) == 13


def test_pixels_under_the_mask_do_not_matter():
    pixels = made("smooth", (128, 128, 3), 8)
    mask = np.array([[True, False], [False, True]])
    other = pixels.copy()
    other[:64, 64:] = 255
    assert photo.encode(pixels, 8, mask) == photo.encode(other, 8, mask)


def test_views_are_coded_like_copies():
    pixels = made("smooth", (60, 64, 3), 8)
    view = pixels[::2, ::-1]
    assert photo.encode(view, 8) == photo.encode(view.copy(), 8)


def test_photos_become_small():
    data = pytest.importorskip("skimage.data")
    picture = data.astronaut()[64:320, 128:384]
    assert len(goes_and_comes(picture, 8)) < 0.55 * picture.size


def test_damage_is_noticed():
    rng = np.random.default_rng(5)
    pixels = made("smooth", (20, 31, 3), 8)
    data = photo.encode(pixels, 8)
    for length in range(len(data)):
        with pytest.raises(CorruptStream):
            photo.decode(data[:length], pixels.shape, 8)
    for at in range(len(data)):
        bad = bytearray(data)
        bad[at] ^= 1 << int(rng.integers(8))
        with pytest.raises(CorruptStream):
            photo.decode(bytes(bad), pixels.shape, 8)
    with pytest.raises(CorruptStream):
        photo.decode(data + b"\0", pixels.shape, 8)
    for shape, depth in (((31, 20, 3), 8), ((20, 31, 4), 8), ((20, 31, 3), 7), ((40, 31, 3), 8)):
        with pytest.raises(CorruptStream):
            photo.decode(data, shape, depth)


def test_noise_as_a_stream_is_refused():
    rng = np.random.default_rng(11)
    for number in range(200):
        data = bytearray(rng.bytes(int(rng.integers(0, 300))))
        if data:
            data[0] %= 28
        depth = 1 + number % 16
        with pytest.raises(CorruptStream):
            photo.decode(bytes(data), (9, 40, 1 + number % 4), depth)


@pytest.mark.parametrize(
    ("pixels", "depth", "mask", "words"),
    [
        (np.zeros((4, 4), np.uint8), 8, None, "height, width, channels"),
        (np.zeros((4, 0, 3), np.uint8), 8, None, "sides"),
        (np.zeros((4, 4, 5), np.uint8), 8, None, "channels"),
        (np.zeros((4, 4, 3), np.uint8), 17, None, "16 bits"),
        (np.zeros((4, 4, 3), np.uint8), 9, None, "uint16"),
        (np.zeros((4, 4, 3), np.uint16), 8, None, "uint8"),
        (np.full((4, 4, 3), 16, np.uint8), 4, None, "are 16"),
        (np.zeros((4, 4, 3), np.uint8), 8, np.ones((2, 1), bool), "mask"),
        (np.zeros((4, 4, 3), np.uint8), 8, np.ones((1, 1), np.uint8), "mask"),
    ],
)
def test_arguments_are_checked(pixels, depth, mask, words: str):
    with pytest.raises(ValueError, match=words):
        photo.encode(pixels, depth, mask)


GOLDEN = Path(__file__).parents[1] / "golden" / "lossless"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("photo-*.bin")), ids=lambda p: p.stem)
def test_golden_streams(path: Path):
    """Their checksums say whether pixels are as they were; coded again they are the same bytes."""
    *shape, depth = (int(number) for number in path.stem.split("-")[1:])
    pixels = photo.decode(path.read_bytes(), tuple(shape), depth)
    assert photo.encode(pixels, depth) == path.read_bytes()


def test_golden_streams_are_there():
    assert len(list(GOLDEN.glob("photo-*.bin"))) == 5


def write_golden() -> None:
    """Make them anew, on purpose: python tests/models/test_lossless_photo.py."""
    for kind, shape, depth in (
        ("smooth", (66, 70, 3), 8),
        ("extremes", (30, 21, 3), 5),
        ("smooth", (40, 33, 1), 8),
        ("smooth", (19, 31, 4), 16),
        ("noise", (9, 12, 2), 11),
    ):
        name = "-".join(str(number) for number in (*shape, depth))
        (GOLDEN / f"photo-{name}.bin").write_bytes(photo.encode(made(kind, shape, depth), depth))


if __name__ == "__main__":
    write_golden()
