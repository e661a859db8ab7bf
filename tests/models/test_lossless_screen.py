"""The lossless coder of screens gives back what it was given, in few bytes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from lictor.entropy import CorruptStream
from lictor.models.lossless import screen

pytestmark = pytest.mark.skipif(not screen.available(), reason="the C extension was not built")

TESTS = Path(__file__).parents[1]
SHAPES = [(1, 1), (1, 97), (83, 1), (2, 3), (3, 70), (67, 33)]
KINDS = ["noise", "two colours", "text", "stripes", "black", "white", "ramp"]


def made(kind: str, shape: tuple[int, int, int], depth: int) -> np.ndarray:
    """Pixels of a kind, the same each time."""
    rng = np.random.default_rng(7)
    top = 2**depth - 1
    y, x, c = np.indices(shape)
    values = {
        "noise": lambda: rng.integers(0, top + 1, shape),
        "two colours": lambda: np.where(rng.random((*shape[:2], 1)) < 0.3, top - c % (top + 1), 0),
        "text": lambda: top - top * drawn(shape[:2])[..., None] // 255 * (c + 1) // shape[2],
        "stripes": lambda: top * ((x // 3 + y // 5 + c) % 2),
        "black": lambda: np.zeros(shape),
        "white": lambda: np.full(shape, top),
        "ramp": lambda: (x * 5 + y * 3 + c) % (top + 1),
    }[kind]()
    return values.astype(np.uint8 if depth <= 8 else np.uint16)


def drawn(size: tuple[int, int]) -> np.ndarray:
    image = Image.new("L", size[::-1])
    pen = ImageDraw.Draw(image)
    for line in range(0, size[0], 12):
        pen.text((2, line), "Sphinx of black quartz, judge my vow. 0123456789", 255)
    return np.asarray(image).astype(int)


def goes_and_comes(pixels: np.ndarray, depth: int, mask: np.ndarray | None = None) -> bytes:
    data = screen.encode(pixels, depth, mask)
    back = screen.decode(data, pixels.shape, depth, mask)
    want = pixels
    if mask is not None:
        height, width = pixels.shape[:2]
        want = pixels * np.kron(mask, np.ones((64, 64), bool))[:height, :width, None]
    assert back.dtype == pixels.dtype
    np.testing.assert_array_equal(back, want)
    return data


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [1, 2, 7, 8, 9, 16])
def test_round_trip(kind: str, channels: int, depth: int):
    for shape in SHAPES:
        goes_and_comes(made(kind, (*shape, channels), depth), depth)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_pixels(data):
    shape = data.draw(st.tuples(*(st.integers(1, 40),) * 2, st.integers(1, 4)))
    depth = data.draw(st.integers(1, 16))
    colours = data.draw(st.integers(1, 300))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    palette = rng.integers(0, 2**depth, (colours, shape[2]))
    pixels = palette[rng.integers(0, colours, shape[:2])]
    if data.draw(st.booleans()):
        pixels = np.repeat(np.repeat(pixels, 3, 0), 2, 1)
    goes_and_comes(pixels.astype(np.uint8 if depth <= 8 else np.uint16), depth)


def test_masks():
    rng = np.random.default_rng(3)
    pixels = made("text", (200, 150, 3), 8)
    whole = goes_and_comes(pixels, 8)
    for share in (0, 0.3, 0.7):
        goes_and_comes(pixels, 8, rng.random((4, 3)) < share)
    assert goes_and_comes(pixels, 8, np.ones((4, 3), bool)) == whole
    assert len(screen.encode(pixels, 8, np.zeros((4, 3), bool))) == 12


def test_pixels_under_the_mask_do_not_matter():
    pixels = made("text", (128, 128, 3), 8)
    mask = np.array([[True, False], [False, True]])
    other = pixels.copy()
    other[:64, 64:] = 255
    assert screen.encode(pixels, 8, mask) == screen.encode(other, 8, mask)


def test_views_are_coded_like_copies():
    view = made("text", (60, 64, 3), 8)[::2, ::-1]
    assert screen.encode(view, 8) == screen.encode(view.copy(), 8)


@pytest.mark.parametrize(
    ("kind", "channels"),
    [("text", 1), *((k, c) for k in ("two colours", "stripes", "black") for c in (1, 3))],
)
def test_screens_become_smaller_than_by_others(kind: str, channels: int):
    pixels = made(kind, (190, 330, channels), 8)
    image = Image.fromarray(pixels.squeeze())
    for form, options in (("PNG", {"optimize": True}), ("WEBP", {"lossless": True, "method": 6})):
        stream = io.BytesIO()
        image.save(stream, form, **options)
        assert len(goes_and_comes(pixels, 8)) < len(stream.getvalue())


def test_what_repeats_costs_next_to_nothing():
    text = made("text", (24, 300, 1), 1)
    once, often = (len(goes_and_comes(np.tile(text, (n, 1, 1)), 1)) for n in (1, 12))
    assert often < 1.5 * once
    assert len(goes_and_comes(made("stripes", (240, 320, 1), 1), 1)) < 60


def test_damage_is_noticed():
    pixels = made("text", (20, 31, 3), 8)
    data = screen.encode(pixels, 8)
    rng = np.random.default_rng(5)
    for length in range(len(data)):
        with pytest.raises(CorruptStream):
            screen.decode(data[:length], pixels.shape, 8)
    for at in range(len(data)):
        bad = bytearray(data)
        bad[at] ^= 1 << int(rng.integers(8))
        with pytest.raises(CorruptStream):
            screen.decode(bytes(bad), pixels.shape, 8)
    with pytest.raises(CorruptStream):
        screen.decode(data + b"\0", pixels.shape, 8)
    for shape, depth in (((31, 20, 3), 8), ((20, 31, 4), 8), ((20, 31, 3), 7), ((40, 31, 3), 8)):
        with pytest.raises(CorruptStream):
            screen.decode(data, shape, depth)


def test_noise_as_a_stream_is_refused():
    rng = np.random.default_rng(11)
    for number in range(100):
        data = rng.bytes(int(rng.integers(0, 300)))
        with pytest.raises(CorruptStream):
            screen.decode(data, (9, 40, 1 + number % 4), 1 + number % 16)


def test_a_tile_is_not_too_large():
    with pytest.raises(ValueError, match="pixels"):
        screen.decode(bytes(20), (1 << 14, 1 << 14, 1), 1)


GOLDEN = TESTS / "golden" / "lossless"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("screen-*.bin")), ids=lambda p: p.stem)
def test_golden_streams(path: Path):
    """Their checksums say whether pixels are as they were; coded again they are the same bytes."""
    *shape, depth = (int(number) for number in path.stem.split("-")[1:])
    pixels = screen.decode(path.read_bytes(), tuple(shape), depth)
    assert screen.encode(pixels, depth) == path.read_bytes()


def test_golden_streams_are_there():
    assert len(list(GOLDEN.glob("screen-*.bin"))) == 4


def write_golden() -> None:
    """Make them anew, on purpose: python tests/models/test_lossless_screen.py."""
    GOLDEN.mkdir(exist_ok=True)
    for kind, shape, depth in (
        ("text", (40, 90, 3), 8),
        ("two colours", (70, 33, 1), 1),
        ("ramp", (19, 31, 4), 16),
        ("noise", (9, 12, 2), 11),
    ):
        name = "-".join(str(number) for number in (*shape, depth))
        (GOLDEN / f"screen-{name}.bin").write_bytes(screen.encode(made(kind, shape, depth), depth))


if __name__ == "__main__":
    write_golden()
