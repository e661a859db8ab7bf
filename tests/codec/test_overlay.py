"""Methods that code a picture, or blocks of it, beside the network or without one.

A method for tests stands in the table: it keeps the samples of its blocks, deflated.
"""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Iterator

import numpy as np
import pytest

from lictor.codec import CodecError, decode_picture, info, latents
from lictor.codec.errors import CorruptFile, LatentMismatch, NoLatents, UnsupportedFeature
from lictor.codec.format import overlay as form
from lictor.codec.format import picture as bitstream
from lictor.codec.format.picture import (
    LATENTS,
    LINEAR,
    LOSSLESS,
    MAP,
    OVERFIT,
    Header,
    Section,
)
from lictor.codec.image.pillow import Picture
from lictor.codec.kinds.pictures import Pictures
from lictor.codec.picture import methods, tiles
from lictor.codec.picture.encode import file_of
from lictor.codec.picture.methods import METHODS
from lictor.codec.picture.methods.method import Wanted
from lictor.codec.picture.methods.overlay import Piece, TileMethod
from lictor.models.quality import Quality

KIND, ABOVE = 40, 41
MIDDLE = Quality.of(50)


class Kept(TileMethod):
    """Deflated; the quality of the first place is in its checksum."""

    kind, name = KIND, "kept"

    def encode_tile(self, colours, piece: Piece):
        assert colours.shape == (piece.height, piece.width, piece.channels)
        data = np.where(inside(piece)[:, :, None], colours, 0).astype(f"<u{piece.depth // 8}")
        return zlib.compress(data.tobytes()), checksum(data, piece)

    def decode_tile(self, stream, piece: Piece):
        shape, dtype = (piece.height, piece.width, piece.channels), f"<u{piece.depth // 8}"
        try:
            data = np.frombuffer(zlib.decompress(stream), dtype).reshape(shape)
        except (zlib.error, ValueError) as e:
            raise CorruptFile(f"the tile cannot be unpacked ({e}); get another copy") from e
        return data, checksum(data, piece)


class Above(Kept):
    kind, name = ABOVE, "above"


def inside(piece: Piece) -> np.ndarray:
    return piece.blocks.repeat(64, 0).repeat(64, 1)[: piece.height, : piece.width]


def checksum(data: np.ndarray, piece: Piece) -> int:
    return zlib.crc32(data.tobytes()) ^ piece.quality.highest


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for method in (Kept(), Above()):
        monkeypatch.setitem(METHODS, method.kind, method)
        monkeypatch.setitem(bitstream._KNOWN_OPTIONAL, method.kind, False)
        monkeypatch.setitem(bitstream.NAMES, method.kind, method.name)
    monkeypatch.setattr(bitstream, "CODED", frozenset((LATENTS, LINEAR, LOSSLESS, KIND, ABOVE)))
    monkeypatch.setattr(tiles, "SIDE", 64)
    yield


def coded(
    pixels: np.ndarray, kinds: dict[int, np.ndarray | None], fake, quality: Quality = MIDDLE
) -> bytes:
    picture = Picture(pixels)
    parts = [
        METHODS[kind].encode(Wanted(picture, quality, fake.network(), blocks=blocks))
        for kind, blocks in kinds.items()
    ]
    return file_of(picture, quality, parts)


def samples(shape: tuple[int, ...], dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(2).integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def some(shape: tuple[int, ...], *places: tuple[int, int]) -> np.ndarray:
    mask = np.zeros((-(-shape[0] // 64), -(-shape[1] // 64)), bool)
    for place in places:
        mask[place] = True
    return mask


def test_the_table_of_this_release():
    names = {kind: m.name for kind, m in METHODS.items() if kind < KIND}
    assert list(names.items()) == [
        (LATENTS, "network"),
        (OVERFIT, "overfit"),
        (LINEAR, "linear"),
        (LOSSLESS, "lossless"),
    ]
    assert all(kind == method.kind for kind, method in methods.METHODS.items())


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("size", [(1, 1), (64, 64), (65, 1), (130, 200)])
def test_without_a_network(size: tuple[int, int], dtype: str, channels: int, fake):
    pixels = samples((*size, channels), dtype)
    data = coded(pixels, {KIND: None}, fake)
    np.testing.assert_array_equal(decode_picture(data).pixels, pixels)
    said = info(data)
    assert (said.model, said.model_id, said.latent_bytes) == (None, 0, 0)
    assert list(said.methods) == ["kept"] and 0 < said.methods["kept"] < len(data)
    assert said.tiles == max(1, -(-size[0] // 64) * -(-size[1] // 64))
    assert re.search(r"\bkept, quality 50, ", Pictures().line(vars(said)))
    with pytest.raises(NoLatents, match="without a network"):
        latents(data)


def test_blocks_above_a_network(china: np.ndarray, fake):
    mask = some(china.shape, (0, 0), (3, 5), (6, 9))
    below = decode_picture(coded(china, {LATENTS: None}, fake, Quality(0))).pixels
    data = coded(china, {LATENTS: None, KIND: mask}, fake, Quality(0))
    where = mask.repeat(64, 0).repeat(64, 1)[:427, :640, None]
    found = decode_picture(data).pixels
    np.testing.assert_array_equal(found, np.where(where, china, below))
    assert (found != china).any()
    assert list(info(data).methods) == ["network", "kept"]
    assert re.search(r"fake\.pixels .*[1-9]\d* of kept", Pictures().line(vars(info(data))))
    for region in ((0, 0, 640, 427), (10, 20, 30, 40), (300, 150, 140, 130), (639, 426, 1, 1)):
        x, y, w, h = region
        part = decode_picture(data, region=region).pixels
        np.testing.assert_array_equal(part, found[y : y + h, x : x + w])


def test_two_methods_share_a_picture(fake):
    """Neither has all of it; where both have a block, that of the later one counts."""
    pixels = samples((130, 200, 3))
    first = some(pixels.shape, (0, 0), (0, 1), (1, 1), (2, 2))
    rest = ~first | some(pixels.shape, (1, 1))
    data = coded(pixels, {KIND: first, ABOVE: rest}, fake)
    np.testing.assert_array_equal(decode_picture(data).pixels, pixels)
    with pytest.raises(CorruptFile, match="by no method"):
        decode_picture(coded(pixels, {KIND: first}, fake))
    with pytest.raises(CorruptFile, match="by no method"):
        info(coded(pixels, {KIND: first, ABOVE: first}, fake))


def test_quality_varies(fake):
    pixels = samples((130, 70, 3))
    map = np.arange(12 * 8, dtype=np.int16).reshape(12, 8) // 24 * 20
    data = coded(pixels, {KIND: None}, fake, Quality(map))
    assert [s.kind for s in bitstream.read(data)[1]] == [MAP, KIND]
    np.testing.assert_array_equal(decode_picture(data).pixels, pixels)
    assert (info(data).quality, info(data).quality_low) == (15, 0)


def test_unknown_to_a_release(fake, monkeypatch: pytest.MonkeyPatch):
    pixels = samples((10, 10, 3))
    data = coded(pixels, {LATENTS: None, KIND: None}, fake)
    monkeypatch.delitem(bitstream._KNOWN_OPTIONAL, KIND)
    with pytest.raises(UnsupportedFeature, match="section 40 is not known"):
        decode_picture(data)


# ---- damage


@pytest.mark.parametrize("below", [True, False])
def test_every_change_of_a_byte_is_found(below: bool, fake):
    pixels = np.zeros((70, 70, 1), np.uint8)
    mask = some(pixels.shape, (0, 0), (1, 1)) if below else None
    data = coded(pixels, ({LATENTS: None} if below else {}) | {KIND: mask}, fake)
    whole, expected = (0, 0, 70, 70), decode_picture(data).pixels
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << at % 8
        with pytest.raises(CodecError):
            decode_picture(damaged)
        with contextlib.suppress(CodecError):  # the tiles' own checks are enough for a region
            np.testing.assert_array_equal(decode_picture(damaged, region=whole).pixels, expected)
        with contextlib.suppress(CodecError):
            assert decode_picture(damaged, salvage=True).pixels.shape == pixels.shape
    for size in range(len(data)):
        with pytest.raises(CodecError):
            decode_picture(data[:size])


def place_of(data: bytes, number: int) -> int:
    """Where the stream of a tile is in a file."""
    header, sections = bitstream.read(data)
    payload = bitstream.payload(sections, KIND)
    overlay = form.parse(header, payload)
    before = sum(tile.size for tile in overlay.table.tiles[:number])
    return data.rindex(bytes(payload)) + len(payload) - overlay.table.size + before


def test_a_lost_tile_without_a_network(china: np.ndarray, fake):
    data = bytearray(coded(china, {KIND: None}, fake))
    data[place_of(bytes(data), 12) + 5] ^= 1
    with pytest.raises(CorruptFile, match="--salvage"):
        decode_picture(data)
    found = decode_picture(data, salvage=True)
    assert len(found.lost) == 1 and "64x64 pixels at 128,64 is painted over" in found.lost[0]
    same = (found.pixels == china).all(axis=2)
    assert not same[64:128, 128:192].all()
    same[64:128, 128:192] = True
    assert same.all()
    part = decode_picture(data, region=(0, 0, 128, 427)).pixels
    np.testing.assert_array_equal(part, china[:, :128])
    with pytest.raises(CorruptFile, match="tile of 64x64 pixels at 128,64"):
        decode_picture(data, region=(100, 60, 128, 128))


def test_a_lost_tile_above_a_network(china: np.ndarray, fake):
    below = coded(china, {LATENTS: None}, fake, Quality(0))
    data = bytearray(
        coded(china, {LATENTS: None, KIND: some(china.shape, (1, 2))}, fake, Quality(0))
    )
    data[place_of(bytes(data), 0) + 5] ^= 1
    found = decode_picture(data, salvage=True)
    assert len(found.lost) == 1 and "is left as what is below it" in found.lost[0]
    np.testing.assert_array_equal(found.pixels, decode_picture(below).pixels)


def test_a_cut_file(china: np.ndarray, fake):
    data = coded(china, {KIND: None}, fake)
    found = decode_picture(data[: place_of(data, 40) + 3], salvage=True)
    np.testing.assert_array_equal(found.pixels[:256], china[:256])
    assert "the end of the file is damaged" in found.lost[0] and len(found.lost) == 1 + 30
    with pytest.raises(CorruptFile, match="nothing can be saved"):
        decode_picture(data[: place_of(data, 0) - 3], salvage=True)


def test_other_samples_than_were_encoded(fake):
    pixels = samples((100, 100, 3))
    header, sections = bitstream.read(coded(pixels, {KIND: None}, fake))
    overlay = form.parse(header, sections[0].payload)
    overlay.table.tiles[1].latents ^= 1
    data = bitstream.write(header, None, {KIND: form.write(overlay, header)})
    with pytest.raises(LatentMismatch, match="tile of 36x64 pixels at 64,0"):
        decode_picture(data)


# ---- the syntax


def payload(head: str, entries: int = 4, streams: bytes = b"") -> bytes:
    """With empty tiles and the right check."""
    data = bytes.fromhex(head) + bytes(9) * entries
    return data + zlib.crc32(data).to_bytes(4, "little") + streams


HEADER = Header(width=100, height=100)


def test_literal_bytes():
    mask = 0b1001
    overlay = form.parse(HEADER, payload("01 01 01 09", 2))
    assert overlay.mask == mask and len(overlay.table.tiles) == 2
    assert form.tiles_of(mask, HEADER, overlay.table) == [0, 3]
    assert form.write(overlay, HEADER) == payload("01 01 01 09", 2)
    assert form.parse(HEADER, payload("01 01 00")).mask == 0b1111


@pytest.mark.parametrize(
    "data",
    [
        payload("01 01 01 00", 0),
        payload("01 01 01 0f"),
        payload("01 01 01 10", 0),
        payload("01 01 02 09", 2),
        payload("00 01 00"),
        payload("81 08 01 00", 1),
        payload("01 01 00", 3),
        payload("01 01 00", 5),
        payload("01 01 00", streams=b"a"),
        payload("01 01 00")[:-1],
        b"",
    ],
)
def test_malformed(data: bytes):
    with pytest.raises(CorruptFile):
        form.parse(HEADER, data)


@pytest.mark.parametrize("side", [64, 128, 192, 1024])
def test_tiles_that_have_a_block(side: int):
    header = Header(width=64 * 13 - 5, height=64 * 7)
    blocks = np.random.default_rng(side).random((7, 13)) < 0.1
    mask = int.from_bytes(np.packbits(blocks, bitorder="little").tobytes(), "little")
    grid = tiles.Grid(header.width, header.height, side, side)
    expected = [
        n for n in range(len(grid)) if blocks[grid.tile(n).padded(64).in_cells(64).place].any()
    ]
    found = form.tiles_of(mask, header, bitstream.Table(side, side))
    assert found and found == expected


def test_latents_of_no_network():
    with pytest.raises(ValueError, match="network"):
        bitstream.write(HEADER, b"")
    with pytest.raises(ValueError, match="network"):
        bitstream.write(HEADER, None)
    chain = [Section(LATENTS, b"")]
    with pytest.raises(CorruptFile, match="of no network"):
        bitstream.read(bitstream._write(HEADER, chain))
    with pytest.raises(CorruptFile, match="does not begin with the latents"):
        bitstream.read(bitstream._write(Header(model_id=1), [Section(KIND, b"")]))
    with pytest.raises(CorruptFile, match="what its samples are"):
        bitstream.read(bitstream._write(HEADER, [Section(bitstream.PADDING, optional=True)]))
