"""The filter of what the synthesis gives: its syntax, its integers, and that it pays."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lictor.codec import decode_picture, encode
from lictor.codec.errors import CorruptFile
from lictor.codec.format import picture as bitstream
from lictor.codec.format import wiener as form
from lictor.codec.format.picture import LATENTS, LOSSLESS, TILES, WIENER
from lictor.codec.format.wiener import Wiener
from lictor.codec.picture import slow_wiener
from lictor.codec.picture import wiener as filters

GOLDEN = Path(__file__).parents[1] / "golden/bin"


@pytest.fixture(autouse=True, scope="module")
def only_fake_models() -> None:
    """In place of the fixture that hides the shipped models."""


def decode(data: bytes, **options: Any) -> np.ndarray:
    return decode_picture(data, **options).pixels


def photo(height: int = 128, width: int = 192) -> np.ndarray:
    from skimage import data

    return np.ascontiguousarray(data.coffee()[100 : 100 + height, 150 : 150 + width])


def any_taps(colours: int, classes: int = 3, seed: int = 0, largest: int = 60) -> Wiener:
    draw = np.random.default_rng(seed)
    count = classes * colours * form.taps_of(colours)
    taps = draw.integers(-largest, largest, count, endpoint=True) * (draw.random(count) < 0.5)
    return Wiener(7, [20 * (1 + k) for k in range(classes - 1)], [int(tap) for tap in taps])


def by_the_page(samples: np.ndarray, wiener: Wiener) -> np.ndarray:
    """What FORMAT.md says, sample by sample."""
    height, width, colours = samples.shape
    bits, size = 8 * samples.itemsize, form.taps_of(colours)

    def at(y: int, x: int) -> list[int]:
        pixel = samples[min(max(y, 0), height - 1), min(max(x, 0), width - 1)]
        return [int(value) for value in pixel]

    def bend(y: int, x: int) -> int:
        luma, total = sum(at(y, x)), 0
        for dy, dx in ((0, 1), (1, 0)):
            total += abs(sum(at(y + dy, x + dx)) + sum(at(y - dy, x - dx)) - 2 * luma)
        return total

    out = samples.copy()
    for y in range(height):
        for x in range(width):
            here, numbers = at(y, x), []
            for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
                pairs = zip(at(y + dy, x + dx), at(y - dy, x - dx), here, strict=True)
                numbers += [a + b - 2 * c for a, b, c in pairs]
            numbers += [*(value - 2 ** (bits - 1) for value in here), 2 ** (bits - 4)]
            around = range(-2, 3)
            active = sum(bend(y + i, x + j) for i in around for j in around) >> (bits - 8)
            kind = sum(active >= threshold for threshold in wiener.thresholds)
            for colour in range(colours):
                start = (kind * colours + colour) * size
                taps = wiener.taps[start : start + size]
                total = sum(tap * number for tap, number in zip(taps, numbers, strict=True))
                change = (total + 2 ** (wiener.precision - 1)) >> wiener.precision
                out[y, x, colour] = min(max(here[colour] + change, 0), 2**bits - 1)
    return out


@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("classes", [1, 8])
@pytest.mark.parametrize("largest", [0, 1, 255])
def test_what_is_written_is_read(colours, classes, largest):
    given = any_taps(colours, classes, 1, largest)
    assert form.parse(form.write(given), colours) == given


def test_damaged_payloads_are_refused():
    payload = form.write(any_taps(3))
    for wrong in (b"", payload[:-1], payload + b"\0", b"\0" + payload[1:], b"\x09" + payload[1:]):
        with pytest.raises(CorruptFile):
            form.parse(wrong, 3)
    rising = b"\x03\x05\x05" + payload[3:]
    with pytest.raises(CorruptFile, match="activity of the filter"):
        form.parse(rising, 3)
    with pytest.raises(CorruptFile, match="no such order"):
        form.parse(b"\x01\x07" + bytes(40), 1)
    with pytest.raises(CorruptFile, match="too large"):
        form.parse(b"\x01\x00\x01" + bytes(40), 1)


def test_any_bytes_are_read_or_refused():
    draw = np.random.default_rng(3)
    for _ in range(2000):
        data = draw.integers(0, 256, draw.integers(0, 60), np.uint8).tobytes()
        try:
            found = form.parse(b"\x01" + data, 1)
        except CorruptFile:
            continue
        assert form.parse(form.write(found), 1) == found


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 3), (1, 9, 3), (7, 1, 1), (9, 11, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_samples_are_those_of_the_page(shape, dtype):
    most = np.iinfo(dtype).max
    samples = np.random.default_rng(5).integers(0, most, shape, dtype, endpoint=True)
    samples[shape[0] // 2 :] //= 16  # calmer
    for largest in (9, 255):
        wiener = any_taps(shape[2], largest=largest)
        wiener.thresholds = [200, 3000]
        expected = by_the_page(samples, wiener)
        assert np.array_equal(filters.filtered(samples, wiener), expected)
        with without_compiler():
            assert np.array_equal(filters.filtered(samples, wiener), expected)


@contextmanager
def without_compiler() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filters, "_quick", slow_wiener)
        yield


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("colours", [1, 3])
def test_c_is_as_numpy(dtype, colours):
    draw, most = np.random.default_rng(colours), np.iinfo(dtype).max
    for _ in range(20):
        shape = (*draw.integers(1, 40, 2), colours)
        samples = draw.integers(0, most, shape, dtype, endpoint=True)
        samples[:, : shape[1] // 2] = samples[0, 0]
        wanted = draw.integers(0, most, shape, dtype, endpoint=True)
        wiener = any_taps(colours, draw.integers(1, 9), draw.integers(99), 255)
        wiener.thresholds = [4000 * (1 + k) for k in range(len(wiener.thresholds))]
        worth = draw.random(shape[:2])
        given = filters._given(samples, wiener.thresholds)
        active = np.empty(shape[:2], np.int32), np.empty(shape[:2], np.int32)
        filters._quick.activity(*given, active[0])
        slow_wiener.activity(*given, active[1])
        assert np.array_equal(*active)
        found = filters.filtered(samples, wiener)
        squares = filters._squares(samples, wanted, worth, wiener.thresholds)
        with without_compiler():
            assert np.array_equal(filters.filtered(samples, wiener), found)
            others = filters._squares(samples, wanted, worth, wiener.thresholds)
        for one, other in zip(squares, others, strict=True):
            assert np.allclose(one, other, rtol=1e-4, atol=1e-5 * np.abs(other).max())


def test_extremes_stay_in_their_numbers():
    for dtype, largest in itertools.product((np.uint8, np.uint16), (-255, 255)):
        board = np.indices((16, 16)).sum(0) % 2 * np.iinfo(dtype).max
        samples = np.ascontiguousarray(np.repeat(board[..., None], 3, 2).astype(dtype))
        wiener = Wiener(5, [], [largest] * (3 * form.taps_of(3)))
        assert np.array_equal(filters.filtered(samples, wiener), by_the_page(samples, wiener))


@pytest.mark.parametrize(
    "wrong",
    [
        {"height": 3}, {"height": 0}, {"width": -1}, {"width": 1 << 62}, {"height": 1 << 62},
        {"colours": 2}, {"size": 4}, {"size": 2}, {"precision": 4}, {"precision": 9},
        {"thresholds": np.zeros(8, np.int32)}, {"thresholds": np.zeros(1, np.int32)},
        {"taps": np.zeros((3, 15), np.int32)}, {"taps": np.full((3, 16), 256, np.int32)},
        {"out": np.empty((4, 4, 3), np.uint8)},
    ],
)  # fmt: skip
def test_c_refuses_what_does_not_go_together(wrong):
    module = pytest.importorskip("lictor.codec.picture._wiener", reason="no C compiler")
    samples = np.zeros((4, 5, 3), np.uint8)
    given = {"samples": samples, "height": 4, "width": 5, "colours": 3, "size": 1}
    given |= {"thresholds": np.zeros(0, np.int32), "taps": np.zeros((3, 16), np.int32)}
    given |= {"precision": 7, "out": np.empty_like(samples)}
    module.filter(*given.values())
    with pytest.raises(ValueError, match="go together"):
        module.filter(*(given | wrong).values())


def test_bands_do_not_show(monkeypatch):
    samples, wiener = photo(), any_taps(3)
    whole = filters.filtered(samples, wiener)
    monkeypatch.setattr(slow_wiener, "_ROWS", 700)
    with without_compiler():
        assert np.array_equal(filters.filtered(samples, wiener), whole)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_is_blurred_gets_sharper_and_pays(dtype):
    wanted = photo().astype(dtype) * dtype(1 if dtype is np.uint8 else 257)
    lines = wanted.astype(np.float64)
    blurred = (2 * lines + np.roll(lines, 1, 0) + np.roll(lines, 1, 1)) / 4
    samples, worth = np.rint(blurred).astype(dtype), np.full(wanted.shape[:2], 0.05)
    found = filters.fitted(samples, wanted, worth)
    assert found is not None
    wiener, payload, saved = found.wiener, found.payload, found.saved
    error = [
        float(((one / 1.0 - wanted) ** 2).mean())
        for one in (samples, filters.filtered(samples, wiener))
    ]
    assert error[1] < 0.8 * error[0] and saved > 0
    assert form.parse(payload, 3) == wiener


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 90, 3), (70, 60, 3)])
def test_nothing_to_gain(shape):
    wanted = np.full(shape, 77, np.uint8)
    assert filters.fitted(wanted, wanted, np.ones(shape[:2])) is None
    noise = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    assert filters.fitted(wanted, noise, np.zeros(shape[:2])) is None


def parts(data: bytes) -> tuple[bitstream.Header, dict[int, bytes]]:
    header, sections = bitstream.read(data)
    return header, {section.kind: bytes(section.payload) for section in sections}


def changed(data: bytes, **others: bytes) -> bytes:
    """With WIENER other than it was; without it if that is empty."""
    header, payloads = parts(data)
    payloads.pop(WIENER, None)
    if others["wiener"]:
        payloads[WIENER] = others["wiener"]
    payloads.pop(TILES, None)
    _, sections = bitstream.read(data)
    table = bitstream.read_table(header, sections) if header.network else None
    return bitstream.write(header, payloads.pop(LATENTS, None), payloads, table)


@pytest.fixture(scope="module")
def file() -> bytes:
    return encode(photo(), quality=60, model="lictor-s.mse", method="network", effort=1)


def test_a_searched_photo_has_one_that_pays(file):
    _, payloads = parts(file)
    plain = changed(file, wiener=b"")
    errors = [float(((decode(data) / 1.0 - photo()) ** 2).mean()) for data in (file, plain)]
    gain = 0.0005 * 2 ** (8 * 0.6) * (errors[1] - errors[0]) * photo()[:, :, 0].size
    assert gain > 8 * (len(file) - len(plain)) > 8 * len(payloads[WIENER])


def test_effort_0_and_weights_for_eyes_have_none():
    for options in ({"model": "lictor-s.mse"}, {"model": "lictor-s.vis", "effort": 1}):
        data = encode(photo(64, 64), quality=50, method="network", **options)
        assert WIENER not in parts(data)[1]


def test_a_region_is_cut_from_the_whole(file):
    part = decode(file, region=(50, 20, 31, 40))
    assert np.array_equal(part, decode(file)[20:60, 50:81])


def test_tiles_meet():
    plain = (GOLDEN / "tiles.bin").read_bytes()
    wiener = any_taps(3, largest=20)
    data = changed(plain, wiener=form.write(wiener))
    assert parts(data)[0].width > 1024
    x, y, width, height = 690, 700, 150, 136
    wide = decode(plain, region=(x - 8, y - 8, width + 16, height + 16))
    expected = filters.filtered(wide, wiener)[8:-8, 8:-8]
    assert np.array_equal(decode(data, region=(x, y, width, height)), expected)


@pytest.mark.parametrize("name", ["gray16", "gray-alpha", "rgba", "point", "row"])
def test_other_kinds_of_pictures(name):
    plain = (GOLDEN / f"{name}.bin").read_bytes()
    header, _ = parts(plain)
    wiener = any_taps(1 if header.channels < 3 else 3, largest=20)
    found = decode_picture(changed(plain, wiener=form.write(wiener)))
    expected = filters.filtered(decode_picture(plain).colours, wiener)
    assert np.array_equal(found.colours, expected)
    assert decode(changed(plain, wiener=form.write(wiener)), reduce=2).ndim >= 2


def test_damage_is_told(file):
    with pytest.raises(CorruptFile, match="fewer taps"):
        decode(changed(file, wiener=parts(file)[1][WIENER][:-1]))
    with pytest.raises(CorruptFile, match="classes of the filter"):
        decode(changed(file, wiener=b"\0\0"))
    hurt = bytearray(file)
    hurt[-6] ^= 1
    with pytest.raises(CorruptFile):
        decode(bytes(hurt))
    saved = decode_picture(bytes(hurt), salvage=True)
    assert any("Wiener filter" in line for line in saved.lost)
    assert np.array_equal(saved.pixels, decode(changed(file, wiener=b"")))


def test_without_a_network_there_is_none():
    data = encode(photo(20, 20), method="lossless")
    header, payloads = parts(data)
    payloads[WIENER] = form.write(any_taps(3))
    assert LOSSLESS in payloads
    with pytest.raises(CorruptFile, match="of no network"):
        decode(bitstream.write(header, None, payloads))
