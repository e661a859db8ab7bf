"""Pictures in tiles: the same as whole ones, in parts, in parallel, and damaged."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lictor import models
from lictor.codec import decode, decode_picture, encode, info, latents, verify
from lictor.codec.errors import (
    CodecError,
    CorruptFile,
    InvalidRegion,
    LatentMismatch,
    TruncatedFile,
)
from lictor.codec.format import picture as bitstream
from lictor.codec.format.colour import Signalling
from lictor.codec.format.picture import MAX_TILE_BLOCKS, Header
from lictor.codec.image.pillow import Picture
from lictor.codec.picture import latent, tiles
from lictor.codec.picture.tiles import Grid
from lictor.models.box import Box

MODEL = "fake.pixels"


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of about 64x64 pixels."""
    monkeypatch.setattr(tiles, "SIDE", 64)


def coded(pixels: np.ndarray, quality: float = 100) -> bytes:
    return encode(pixels, quality=quality, model=MODEL)


# ---- the grid


@settings(max_examples=300)
@given(st.integers(1, 50_000), st.integers(1, 50_000))
def test_tiles_are_a_partition_and_of_bearable_size(width: int, height: int):
    grid = Grid.for_picture(width, height)
    assert grid.tile_width % 64 == grid.tile_height % 64 == 0
    assert grid.tile_width * grid.tile_height <= MAX_TILE_BLOCKS * 64 * 64
    rows = len(grid) // grid.columns
    assert len(grid) == rows * grid.columns
    row = [grid.tile(n) for n in range(grid.columns)]
    column = [grid.tile(n * grid.columns) for n in range(rows)]
    assert [b.left for b in row] == list(range(0, width, grid.tile_width))
    assert [b.top for b in column] == list(range(0, height, grid.tile_height))
    assert row[-1].right == width and column[-1].bottom == height
    assert all(b.height and b.width for b in (*row, *column))


@pytest.mark.parametrize("size", [(1, 1), (768, 512), (1472, 1472), (1920, 512), (1, 20_000)])
def test_pictures_that_stay_whole(size: tuple[int, int]):
    assert len(Grid.for_picture(*size)) == 1


@pytest.mark.parametrize(
    "size, tile, count",
    [
        ((1920, 1080), (960, 1088), 2),
        ((4000, 3000), (1024, 1024), 12),
        ((12_000, 8400), (1024, 1088), 96),
        ((40_000, 64), (20_032, 64), 2),
        ((40_000, 1), (20_032, 64), 2),
        ((1, 40_000), (64, 20_032), 2),
    ],
)
def test_grids(size: tuple[int, int], tile: tuple[int, int], count: int):
    grid = Grid.for_picture(*size)
    assert ((grid.tile_width, grid.tile_height), len(grid)) == (tile, count)


@settings(max_examples=200)
@given(
    *(st.integers(1, 300) for _ in range(2)),
    *(st.integers(-20, 300) for _ in range(2)),
    *(st.integers(1, 99) for _ in range(2)),
)
def test_touching(width: int, height: int, top: int, left: int, rows: int, columns: int):
    grid = Grid(width, height, 64, 128)
    box = Box(top, left, rows, columns)
    meets = [n for n in range(len(grid)) if all(grid.tile(n).within(box)[2:])]
    assert list(grid.touching(box)) == meets


# ---- there and back


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("size", [(64, 65), (97, 1), (1, 97), (130, 200), (300, 31)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_any_kind_in_tiles(size: tuple[int, int], channels: int, dtype: type):
    random = np.random.default_rng(sum(size))
    pixels = random.integers(0, 256, (*size, channels), np.uint8)
    pixels[:, :, -1] |= 1  # what alpha hides would be filled
    if dtype is np.uint16:
        pixels = pixels.astype(np.uint16) * 257
    data = coded(pixels)
    assert info(data).tiles > 1 or max(size) < 97
    np.testing.assert_array_equal(decode_picture(data).pixels, pixels)


def test_one_tile_is_coded_as_before(china: np.ndarray):
    """No table, and no trace of tiles."""
    data = coded(china)
    header, sections = bitstream.read(data)
    assert [s.kind for s in sections] == [bitstream.LATENTS]
    assert header.latents == int(info(data).latents, 16)
    assert (info(data).tiles, info(data).tile_width, info(data).tile_height) == (1, 640, 427)


@pytest.mark.usefixtures("small_tiles")
def test_info_of_tiles(china: np.ndarray):
    i = info(coded(china))
    assert (i.tiles, i.tile_width, i.tile_height) == (70, 64, 64)


@pytest.mark.usefixtures("small_tiles")
def test_latents_of_tiles_lie_where_their_pixels_do(china: np.ndarray):
    """The fake model's latents are the pixels."""
    data = coded(china[:150, :200])
    assert info(data).tiles > 1
    values = latents(data).values
    np.testing.assert_array_equal(values, china[:150, :200].transpose(2, 0, 1))


@pytest.mark.usefixtures("small_tiles")
def test_verify_in_tiles(china: np.ndarray):
    report = verify(china, quality=80, model=MODEL)
    assert report.ok, report
    assert verify(china[:200], quality=100, model=MODEL).psnr == float("inf")


@pytest.mark.usefixtures("small_tiles")
def test_workers_change_nothing(china: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    threads = torch.get_num_threads()
    files = []
    try:
        for count in (1, 2, 3, 8, 20):
            torch.set_num_threads(count)
            files.append(coded(china, 60))
            np.testing.assert_array_equal(
                np.asarray(decode(files[-1])), np.asarray(decode(files[0]))
            )
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert len(set(files)) == 1


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("threads", [1, 4])
def test_progress_counts_tiles(china: np.ndarray, threads: int):
    seen: list[tuple[int, int]] = []
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        data = encode(china, model=MODEL, progress=lambda *step: seen.append(step))
        decode(data, progress=lambda *step: seen.append(step))
    finally:
        torch.set_num_threads(before)
    assert seen == 2 * [(n + 1, 70) for n in range(70)]


def test_progress_of_one_tile_is_not_told(photo: np.ndarray):
    seen: list[tuple[int, int]] = []
    data = encode(photo, model=MODEL, progress=lambda *step: seen.append(step))
    decode(data, progress=lambda *step: seen.append(step))
    assert seen == []


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("threads", [1, 4])
def test_an_error_in_one_tile_ends_all(
    china: np.ndarray, fake: ModuleType, monkeypatch: pytest.MonkeyPatch, threads: int
):
    calls = []

    def fail(self, x, quality, encoder, tile):
        calls.append(1)
        raise RuntimeError("a bug")

    monkeypatch.setattr(fake.Fake, "encode", fail)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with pytest.raises(RuntimeError, match="a bug"):
            coded(china)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert len(calls) < 70


# ---- regions


REGIONS = [(0, 0, 640, 427), (0, 0, 1, 1), (639, 426, 1, 1), (63, 64, 2, 1), (100, 50, 300, 200)]


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_region(china: np.ndarray, region: tuple[int, int, int, int], channels: int):
    pixels = np.dstack([china, china[::-1, :, :1]])[:, :, :channels]
    pixels[:, :, -1] |= 1  # what alpha hides would be filled
    x, y, width, height = region
    found = decode_picture(coded(np.ascontiguousarray(pixels)), region=region).pixels
    np.testing.assert_array_equal(found, pixels[y : y + height, x : x + width])


def test_region_of_a_whole_picture(photo: np.ndarray):
    found = decode(coded(photo), region=(3, 4, 5, 6))
    np.testing.assert_array_equal(np.asarray(found), photo[4:10, 3:8])


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("region, count", [((70, 70, 10, 10), 1), ((60, 60, 10, 10), 4)])
def test_region_decodes_only_its_tiles(
    china: np.ndarray,
    fake: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    region: tuple[int, int, int, int],
    count: int,
):
    data = coded(china)
    pulled, shown = [], []
    pull, reconstruct = fake.Fake.pull, fake.Fake.reconstruct
    monkeypatch.setattr(fake.Fake, "pull", lambda *a: pulled.append(1) or pull(*a))
    monkeypatch.setattr(fake.Fake, "reconstruct", lambda *a: shown.append(1) or reconstruct(*a))
    decode(data, region=region)
    assert (len(pulled), len(shown)) == (count, count)


@pytest.mark.parametrize(
    "region",
    [
        (-1, 0, 5, 5),
        (0, 0, 46, 5),
        (0, 0, 5, 32),
        (45, 0, 1, 1),
        (0, 0, 0, 5),
        (0, 0, 5, -1),
        (0, 0, 5),
        (0, 0, 5.0, 5),
        "0,0,5,5",
        5,
        (2**70, 0, 1, 1),
    ],
)
def test_regions_that_are_none(photo: np.ndarray, region: object):
    with pytest.raises(InvalidRegion, match="region"):
        decode(coded(photo), region=region)  # type: ignore[arg-type]


# ---- damage


@pytest.fixture
def rich(china: np.ndarray) -> Picture:
    """Six tiles of 64x64, alpha, and metadata."""
    pixels = np.ascontiguousarray(np.dstack([china, china[::-1, :, :1] | 1])[:128, :192])
    said = Signalling(cicp=(9, 16, 0, 1), mastering=tuple(range(10)))
    return Picture(pixels, b"icc " * 40, b"MM\0*exif", signalling=said)


@pytest.fixture
def whole(rich: Picture, small_tiles: None) -> bytes:
    data = encode(rich, quality=100, model=MODEL)
    assert info(data).tiles == 6
    return data


def offset(data: bytes, number: int) -> int:
    """Where the stream of a tile begins in the file."""
    header, sections = bitstream.read(data)
    table = bitstream.read_table(header, sections)
    assert table
    start = data.index(bytes(sections[1].payload))
    return start + sum(tile.size for tile in table.tiles[:number])


def with_damage(data: bytes, at: int, by: int = 0x55) -> bytes:
    damaged = bytearray(data)
    damaged[at] ^= by
    return bytes(damaged)


def test_damaged_tile_is_an_error(whole: bytes):
    damaged = with_damage(whole, offset(whole, 4) + 10)
    with pytest.raises(CorruptFile, match="--salvage"):
        decode(damaged)
    assert info(damaged) == info(whole)


def test_damaged_tile_does_not_matter_to_another_region(whole: bytes, rich: Picture):
    damaged = with_damage(whole, offset(whole, 4) + 10)
    found = decode_picture(damaged, region=(0, 0, 192, 64)).pixels
    np.testing.assert_array_equal(found, rich.pixels[:64])
    with pytest.raises(CorruptFile, match="of 64x64 pixels at 64,64 does not match"):
        decode(damaged, region=(0, 0, 192, 65))


@pytest.mark.parametrize("number", range(6))
def test_salvage_of_one_tile(whole: bytes, rich: Picture, number: int):
    picture = decode_picture(with_damage(whole, offset(whole, number) + 10), salvage=True)
    top, left = number // 3 * 64, number % 3 * 64
    assert len(picture.lost) == 1
    assert f"of 64x64 pixels at {left},{top} is painted over" in picture.lost[0]
    hole = np.zeros((128, 192), bool)
    hole[top : top + 64, left : left + 64] = True
    np.testing.assert_array_equal(picture.pixels[~hole], rich.pixels[~hole])
    np.testing.assert_array_equal(picture.pixels[:, :, 3], rich.pixels[:, :, 3])
    assert (picture.icc, picture.exif) == (rich.icc, rich.exif)
    assert picture.signalling == rich.signalling
    # It is nearer than flat gray.
    error = np.abs(picture.pixels[hole].astype(int) - rich.pixels[hole]).mean()
    assert error < np.abs(128 - rich.pixels[hole].astype(int)).mean()


def test_salvage_of_an_intact_file(whole: bytes, rich: Picture):
    picture = decode_picture(whole, salvage=True)
    assert picture.lost == ()
    np.testing.assert_array_equal(picture.pixels, rich.pixels)


def test_salvage_of_a_file_cut_short(whole: bytes, rich: Picture):
    picture = decode_picture(whole[: offset(whole, 3) + 5], salvage=True)
    np.testing.assert_array_equal(picture.pixels[:64, :, :3], rich.pixels[:64, :, :3])
    assert (picture.pixels[:, :, 3] == 255).all()
    text = "\n".join(picture.lost)
    assert "the file ends after" in text and "alpha plane" in text and text.count("painted") == 3


def test_salvage_when_the_length_of_the_latents_is_damaged(whole: bytes, rich: Picture):
    picture = decode_picture(with_damage(whole, offset(whole, 0) - 2), salvage=True)
    np.testing.assert_array_equal(picture.pixels, rich.pixels)


@pytest.mark.parametrize("kind", [bitstream.ALPHA, bitstream.ICC, bitstream.EXIF, bitstream.COLOUR])
def test_salvage_without_other_parts(whole: bytes, rich: Picture, kind: int):
    _, sections = bitstream.read(whole)
    at = whole.rindex(bytes(bitstream.payload(sections, kind)))
    picture = decode_picture(with_damage(whole, at + 3), salvage=True)
    assert picture.lost
    np.testing.assert_array_equal(picture.pixels[:, :, :3], rich.pixels[:, :, :3])
    assert picture.icc == (b"" if kind == bitstream.ICC else rich.icc)
    assert picture.exif == (b"" if kind == bitstream.EXIF else rich.exif)
    assert bool(picture.signalling) == (kind != bitstream.COLOUR)
    if kind == bitstream.ALPHA:
        assert (picture.pixels[:, :, 3] == 255).all()


@pytest.mark.parametrize("at", [1, 5, 20, 25, 40])
def test_nothing_to_salvage_behind_a_damaged_header_or_table(whole: bytes, at: int):
    with pytest.raises(CodecError):
        decode(with_damage(whole, at), salvage=True)


def test_nothing_to_salvage_when_all_tiles_are_damaged(whole: bytes):
    damaged = bytearray(whole)
    for number in range(6):
        damaged[offset(whole, number) + 5] ^= 1
    with pytest.raises(CorruptFile, match="nothing can be saved"):
        decode(damaged, salvage=True)


def test_nothing_to_salvage_of_a_damaged_picture_in_one_piece(photo: np.ndarray):
    data = coded(photo)
    with pytest.raises(CorruptFile, match="nothing can be saved"):
        decode(with_damage(data, len(data) - 20), salvage=True)
    with pytest.raises(TruncatedFile):
        decode(data[:-1], salvage=True)


def rewritten(data: bytes, change) -> bytes:
    """The file after change(table, streams), with right checks."""
    header, sections = bitstream.read(data)
    table = bitstream.read_table(header, sections)
    assert table
    streams = [bytes(s) for s in latent.Streams(sections[1].payload, table, 0).cut()]
    change(table, streams)
    header.latents = table.checksum
    others = {s.kind: bytes(s.payload) for s in sections[2:]}
    return bitstream.write(header, b"".join(streams), others, table)


def test_tile_with_right_check_that_decodes_otherwise(whole: bytes):
    def change(table: bitstream.Table, streams: list[bytes]) -> None:
        table.tiles[2].latents ^= 1

    damaged = rewritten(whole, change)
    with pytest.raises(LatentMismatch, match="tile of 64x64 pixels at 128,0 decode to others"):
        decode(damaged)
    assert len(decode_picture(damaged, salvage=True).lost) == 1


def test_swapped_tiles(whole: bytes):
    def change(table: bitstream.Table, streams: list[bytes]) -> None:
        streams[0], streams[1] = streams[1], streams[0]

    with pytest.raises(CodecError):
        decode(rewritten(whole, change))


@pytest.mark.usefixtures("small_tiles")
def test_truncations_and_flips_of_a_tiled_file(china: np.ndarray):
    data = coded(np.ascontiguousarray(china[:1, :100]), 0)
    assert info(data).tiles == 2
    for size in range(len(data)):
        with pytest.raises(CodecError):
            decode(data[:size])
    for at in range(len(data)):
        with pytest.raises(CodecError):
            decode(with_damage(data, at, 1 << at % 8))


def test_absurd_sizes_are_found_before_any_model_runs(monkeypatch: pytest.MonkeyPatch):
    header = Header(model_id=7, width=40_000, height=40_000)
    sections = [
        bitstream.Section(bitstream.TILES, b"\1\1" + bytes(900), more=True),
        bitstream.Section(bitstream.LATENTS, bytes(30_000)),
    ]
    monkeypatch.setattr(models, "find", None)
    with pytest.raises(CorruptFile):
        decode(bitstream._write(header, sections))
