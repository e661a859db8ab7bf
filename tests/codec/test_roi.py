"""Regions of interest: from boxes and maps to files, and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lictor.codec import decode_picture, encode, info
from lictor.codec.errors import (
    CorruptFile,
    InvalidRoi,
    TaskUnavailable,
    TruncatedFile,
    UnsupportedFeature,
)
from lictor.codec.format import picture as bitstream
from lictor.codec.format import quality_map as map_form
from lictor.codec.format.picture import ALPHA, LATENTS, MAP, TILES, Header, Section
from lictor.codec.picture import quality_map, tiles
from lictor.codec.picture.roi import quality_map as steps_of
from lictor.codec.picture.roi import weights
from lictor.models.quality import Quality

MODEL = "fake.pixels"
BOX = (100, 60, 80, 70)


def coded(pixels: np.ndarray, roi: object, quality: float = 80, **options: object) -> bytes:
    return encode(pixels, quality=quality, model=MODEL, roi=roi, **options)  # type: ignore[arg-type]


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of about 64x64 pixels."""
    monkeypatch.setattr(tiles, "SIDE", 64)


# ---- what users say


def test_boxes_take_all_places_that_they_touch():
    found = weights([(17, 31, 16, 2), (90, 0, 500, 10, 0.25)], 100, 50)
    assert found.shape == (4, 8)
    expected = np.zeros((4, 8))
    expected[1:3, 1:3] = 1
    expected[0, 5:] = 0.25  # and what is beyond the picture is as its last column
    np.testing.assert_array_equal(found, expected)


def test_one_box_needs_no_list():
    np.testing.assert_array_equal(weights((1, 2, 3, 4), 40, 40), weights([(1, 2, 3, 4)], 40, 40))


def test_where_regions_meet_the_highest_counts():
    found = weights([(0, 0, 64, 64, 0.5), (0, 0, 16, 16), (0, 0, 64, 64, 0.1)], 64, 64)
    assert found[0, 0] == 1 and found[3, 3] == 0.5


@pytest.mark.parametrize(
    "map",
    [
        np.array([[0, 255], [51, 0]], np.uint8),
        np.array([[0, 65535], [13107, 0]], np.uint16),
        np.array([[0, 1], [0.2, 0]]),
        np.array([[0, 255], [51, 0]], np.uint8)[:, :, None].repeat(3, 2),
        Image.fromarray(np.array([[0, 255], [51, 0]], np.uint8)),
    ],
)
def test_maps_are_scaled_to_the_picture(map: object):
    found = weights(map, 128, 64)
    assert found.shape == (4, 8)
    np.testing.assert_allclose(found[:2, 4:], 1)
    np.testing.assert_allclose(found[2:, :4], 0.2)
    assert not found[:2, :4].any() and not found[2:, 4:].any()


def test_a_place_takes_the_whitest_of_its_pixels():
    map = np.zeros((64, 64), bool)
    map[20, 37] = True
    found = weights(map, 64, 64)
    assert found[1, 2] == 1 and found.sum() == 1


@settings(max_examples=100, deadline=None)
@given(*(st.integers(1, 90) for _ in range(4)))
def test_any_map_fits_any_picture(map_width: int, map_height: int, width: int, height: int):
    map = np.random.default_rng(0).random((map_height, map_width))
    found = weights(map, width, height)
    assert found.shape == (-(-height // 64) * 4, -(-width // 64) * 4)
    assert found.max() == map.max() and found.min() >= map.min()


@pytest.mark.parametrize(
    "roi, reason",
    [
        ([], "no region"),
        ([(1, 2, 3)], "give x, y, width and height"),
        ([(1, 2, 3, 4, 5)], "weight of 0 to 1"),
        ([("a", 2, 3, 4)], "give x, y, width and height"),
        ([(700, 2, 3, 4)], "nothing of the picture"),
        ([(5, 5, 0, 4)], "nothing of the picture"),
        ([(-9, 5, 9, 4)], "nothing of the picture"),
        (np.zeros((3, 4, 2, 2)), "shape"),
        (np.zeros((0, 4)), "shape"),
        (np.full((2, 2), 2.0), "outside 0 to 1"),
        (np.full((2, 2), np.nan), "outside 0 to 1"),
        (np.zeros((2, 2), complex), "type complex"),
        (object(), "a region is a object"),
    ],
)
def test_regions_that_make_no_sense(photo: np.ndarray, roi: object, reason: str):
    with pytest.raises(InvalidRoi, match=reason):
        coded(photo, roi)


@pytest.mark.parametrize("drop", [0, -1, 101, float("nan")])
def test_drops_that_make_no_sense(photo: np.ndarray, drop: float):
    with pytest.raises(InvalidRoi, match="drop"):
        coded(photo, [(0, 0, 5, 5)], roi_drop=drop)


def test_unknown_task(photo: np.ndarray):
    with pytest.raises(TaskUnavailable, match="guess"):
        coded(photo, "guess")


def test_a_model_of_one_quality(photo: np.ndarray, monkeypatch: pytest.MonkeyPatch, fake):
    data = coded(np.tile(photo, (3, 3, 1)), [(0, 0, 20, 20)])
    monkeypatch.setattr(fake.Fake, "takes_maps", False)
    with pytest.raises(InvalidRoi, match="one quality"):
        coded(photo, [(0, 0, 5, 5)])
    with pytest.raises(UnsupportedFeature, match="quality map"):
        decode_picture(data)


def test_quality_falls_with_the_drop_and_not_below_0():
    wanted = np.array([[1, 0.5, 0]])
    assert steps_of(wanted, Quality(300), 40).map.tolist() == [[300, 220, 140]]
    assert steps_of(wanted, Quality(100), 40).map.tolist() == [[100, 20, 0]]
    assert steps_of(wanted[:, ::2], Quality(301), 40.25).map.tolist() == [[301, 140]]


# ---- in the file


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 400), st.floats(0.25, 100), st.integers(1, 400))
def test_every_map_comes_back(seed: int, step: int, drop: float, width: int):
    random = np.random.default_rng(seed)
    wanted = random.random((random.integers(1, 9), 9)) ** random.integers(1, 9)
    found = steps_of(weights(wanted, width, 130), Quality(step), drop)
    header = Header(width=width, height=130, step=found.highest, mapped=True)
    assert (found.map is None) == (found.lowest == found.highest)
    if found.map is not None:
        assert quality_map.unpack(quality_map.pack(found, header), header) == found


def test_a_box_costs_few_bytes(china: np.ndarray):
    size = info(coded(china, [BOX])).map_bytes
    assert 0 < size <= 25


def test_info_and_order_of_sections(china: np.ndarray):
    data = coded(np.dstack([china, china[:, :, 0]]), [BOX], roi_drop=30)
    _, sections = bitstream.read(data)
    assert [s.kind for s in sections] == [MAP, LATENTS, ALPHA]
    found = info(data)
    assert (found.quality, found.quality_low) == (80, 50)
    assert found.map_bytes == len(sections[0].payload)
    plain = info(encode(china, quality=80, model=MODEL))
    assert (plain.quality_low, plain.map_bytes) == (80, 0)


@pytest.mark.parametrize(
    "roi", [np.ones((3, 3)), [(0, 0, 640, 427)], [(0, 0, 9, 9), (0, 0, 999, 999)]]
)
def test_wanted_everywhere_is_a_plain_file(china: np.ndarray, roi: object):
    assert coded(china, roi) == encode(china, quality=80, model=MODEL)


def test_wanted_nowhere_is_one_of_lower_quality(china: np.ndarray):
    assert coded(china, np.zeros((3, 3))) == encode(china, quality=40, model=MODEL)


@pytest.mark.parametrize("tile", [1024, 64])
def test_what_is_wanted_is_exact_here(china: np.ndarray, monkeypatch, tile: int):
    """The fake model is lossless at quality 100; whole, in tiles, and in parts."""
    monkeypatch.setattr(tiles, "SIDE", tile)
    data = coded(china, [BOX], quality=100)
    found = decode_picture(data).pixels
    inside = np.s_[48:144, 96:192]  # the places that the box touches
    np.testing.assert_array_equal(found[inside], china[inside])
    error = np.abs(found.astype(int) - china)
    assert error[144:].mean() > 2 and error.max() <= 6
    np.testing.assert_array_equal(
        decode_picture(data, region=(90, 50, 130, 100)).pixels, found[50:150, 90:220]
    )
    assert info(data).tiles == (1 if tile == 1024 else 70)


def test_bytes_do_not_depend_on_threads(china: np.ndarray, small_tiles: None):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = coded(china, [BOX])
        torch.set_num_threads(3)
        assert coded(china, [BOX]) == one
    finally:
        torch.set_num_threads(before)


# ---- damage


def mapped(china: np.ndarray, tiled: bool = False) -> tuple[Header, list[Section]]:
    return bitstream.read(coded(china[:128, :128], [(0, 0, 40, 50)]))


def test_salvage_with_a_map(china: np.ndarray, small_tiles: None):
    data = bytearray(coded(china, [BOX]))
    whole = decode_picture(bytes(data)).pixels
    _, sections = bitstream.read(bytes(data))
    assert [s.kind for s in sections] == [TILES, MAP, LATENTS]
    data[-300] ^= 1
    found = decode_picture(bytes(data), salvage=True)
    assert len(found.lost) == 1
    assert (found.pixels == whole).all(axis=2).mean() > 0.9
    cut = decode_picture(bytes(data[:-2000]), salvage=True)
    np.testing.assert_array_equal(cut.pixels[:64], whole[:64])
    at = bytes(data).index(bytes(sections[1].payload))
    data[at + 3] ^= 1
    with pytest.raises(CorruptFile, match=r"nothing can be saved.*quality map"):
        decode_picture(bytes(data), salvage=True)


def test_salvage_in_one_piece(china: np.ndarray):
    data = coded(china, [BOX])
    np.testing.assert_array_equal(
        decode_picture(data, salvage=True).pixels, decode_picture(data).pixels
    )
    damaged = bytearray(data)
    damaged[-9] ^= 1
    with pytest.raises(CorruptFile, match="nothing can be saved"):
        decode_picture(bytes(damaged), salvage=True)


def test_header_and_sections_must_agree(china: np.ndarray):
    header, sections = mapped(china)
    map, latents = sections
    for wrong in ([latents], [latents, map], [map], [map, map, latents]):
        chain = [Section(s.kind, s.payload, s.optional, s is not wrong[-1]) for s in wrong]
        with pytest.raises(CorruptFile, match=r"begin with|twice"):
            bitstream.read(bitstream._write(header, chain))
    header.mapped = False
    with pytest.raises(CorruptFile, match="begin with the latents"):
        bitstream.read(bitstream._write(header, sections))
    chain = [
        Section(LATENTS, latents.payload, more=True),
        Section(MAP, map.payload),
    ]
    with pytest.raises(CorruptFile, match="does not know of"):
        bitstream.read(bitstream._write(header, chain))


def code_of(china: np.ndarray) -> tuple[Header, map_form.MapCode]:
    header, sections = mapped(china)
    return header, map_form.parse(header, sections[0].payload)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"levels": 3}, "below quality 0|does not span"),
        ({"offset": 5}, "does not span"),
        ({"stream": b""}, "does not decode"),
        ({"stream": b"\xff" * 40}, "does not decode|does not span"),
        ({"logs": [0, 56, 0]}, "does not decode|does not span"),
    ],
)
def test_maps_that_make_no_sense(china: np.ndarray, changes: dict, reason: str):
    header, code = code_of(china)
    for name, value in changes.items():
        setattr(code, name, value)
    with pytest.raises(CorruptFile, match=reason):
        quality_map.unpack(map_form.write(code, header), header)


@pytest.mark.parametrize(
    "payload", ["", "01", "0102", "010203", "01020380", "0102038002", "01020380021a"]
)
def test_maps_cut_short(payload: str):
    with pytest.raises(TruncatedFile):
        map_form.parse(Header(step=100, mapped=True), bytes.fromhex(payload))


@pytest.mark.parametrize(
    "payload, reason",
    [
        ("000203800138", "unit of the quality map is 0"),
        ("9103 0203800138", "unit of the quality map is 401"),
        ("01 01 03800138", "levels of the quality map is 1"),
        ("01 41 03800138", "levels of the quality map is 65"),
        ("33 03 03800138", "below quality 0"),
        ("01 02 04800138", "differences of the quality map is 4"),
        ("01 02 03 80 00 38", "symbols of the quality map is 0"),
        ("01 02 03 80 01 39", "frequency of the quality map is 57"),
    ],
)
def test_map_values_out_of_range(payload: str, reason: str):
    with pytest.raises(CorruptFile, match=reason):
        map_form.parse(Header(step=100, mapped=True), bytes.fromhex(payload))


def test_a_map_of_one_value_throughout_is_no_map():
    """A certain table takes no stream, however large the picture; it must still end in an error."""
    header = Header(width=2**15, height=2**15, step=100, mapped=True)
    code = map_form.MapCode(1, 2, 0, 0, [56], b"\0\0\0")
    with pytest.raises(CorruptFile, match="does not span"):
        quality_map.unpack(map_form.write(code, header), header)
