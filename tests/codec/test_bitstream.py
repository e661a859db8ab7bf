"""The file syntax: literal bytes, and one test for each way a file can be malformed."""

from __future__ import annotations

import binascii
import re
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lictor.codec
from lictor.codec.errors import (
    CorruptFile,
    FileError,
    NotALictorFile,
    TruncatedFile,
    UnsupportedFeature,
    UnsupportedVersion,
)
from lictor.codec.format import picture as bitstream
from lictor.codec.format.picture import Header, Section, Table, Tile, read, write

HEADER = bytes.fromhex("4c4943 01 01 deadbeef ac02 02 01 c801 78563412 a69b")
FILE = HEADER + bytes.fromhex("01 03 aabbcc 1d50fba8")
PAYLOAD = b"\xaa\xbb\xcc"


def example() -> Header:
    return Header(
        model_id=1,
        weights=b"\xde\xad\xbe\xef",
        width=300,
        height=2,
        channels=1,
        step=200,
        latents=0x12345678,
    )


def header(fields: str) -> bytes:
    """Magic, version 1, the given bytes and the right check."""
    data = b"LIC\x01" + bytes.fromhex(fields)
    return data + binascii.crc_hqx(data, 0xFFFF).to_bytes(2, "little")


def section(tag: int, payload: bytes) -> bytes:
    assert len(payload) < 128
    data = bytes([tag, len(payload)]) + payload
    return data + zlib.crc32(data).to_bytes(4, "little")


GOOD = "01 deadbeef ac02 02 01 c801 78563412"
LATENTS = section(1, PAYLOAD)


# ---- literal bytes


def test_bytes_of_a_file():
    assert write(example(), PAYLOAD) == FILE
    assert header(GOOD) + LATENTS == FILE


def test_the_specification_shows_these_bytes():
    page = (Path(lictor.codec.__file__).parent / "format" / "FORMAT.md").read_text(encoding="utf-8")
    block = page.split("## An example")[1].split("```")[1]
    octets = "".join(re.split(r"\s{3,}", line)[0] for line in block.strip().splitlines())
    assert bytes.fromhex(octets) == FILE


def test_reads_what_it_wrote():
    h, sections = read(FILE)
    assert h == example()
    assert [(s.kind, bytes(s.payload)) for s in sections] == [(1, PAYLOAD)]


def test_bytes_of_a_model_by_name():
    h = Header(model_name="a.b", width=1, height=1)
    expected = header("00 03 612e62 00000000 01 01 03 00 00000000") + section(1, b"")
    assert write(h, b"") == expected
    assert read(expected)[0] == h


def test_payload_is_a_view_not_a_copy():
    data = bytearray(FILE)
    payload = read(data)[1][0].payload
    assert isinstance(payload, memoryview)
    assert payload.obj is data


def test_overhead_of_a_large_photo():
    h, table = tiled(6000, 4000, 1024)
    h.step = 400
    payload = bytes(1_500_000)
    assert len(write(h, payload, table=table)) - len(payload) <= 40 + 12 * len(table.tiles)


@given(
    st.builds(
        Header,
        model_id=st.integers(1, bitstream.MAX_MODEL_ID),
        weights=st.binary(min_size=4, max_size=4),
        width=st.integers(1, 2**11),
        height=st.integers(1, 2**11),
        channels=st.sampled_from([1, 3]),
        step=st.integers(0, 400),
        latents=st.integers(0, 2**32 - 1),
    ),
    st.binary(max_size=300),
)
def test_round_trip(h: Header, payload: bytes):
    data = write(h, payload)
    again, sections = read(data)
    assert again == h
    assert sections[0].payload == payload


# ---- the writer refuses what the format cannot hold


@pytest.mark.parametrize(
    "field, value",
    [
        ("model_id", -1),
        ("model_id", 2**28),
        ("weights", b"abc"),
        ("width", 0),
        ("width", 2**20 + 1),
        ("height", -5),
        ("step", 401),
        ("latents", 2**32),
    ],
)
def test_writer_refuses(field: str, value: object):
    h = example()
    setattr(h, field, value)
    with pytest.raises(ValueError, match=r"\d"):
        write(h, b"")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a\\b", "Größe", "a\n", "x" * 65])
def test_writer_refuses_names(name: str):
    with pytest.raises(ValueError):
        write(Header(model_name=name), b"")


# ---- each way to be malformed


@pytest.mark.parametrize("size", range(len(FILE)))
def test_truncated_at_every_byte(size: int):
    with pytest.raises(TruncatedFile):
        read(FILE[:size])


@pytest.mark.parametrize("at", range(len(FILE)))
def test_every_change_of_one_byte_is_found(at: int):
    for value in range(256):
        if value != FILE[at]:
            with pytest.raises(FileError):
                read(FILE[:at] + bytes([value]) + FILE[at + 1 :])


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n", b"x", b"LI\n", b"lic\x01", bytes(100)])
def test_other_magic(data: bytes):
    with pytest.raises(NotALictorFile):
        read(data)


def test_empty():
    with pytest.raises(TruncatedFile, match="empty"):
        read(b"")


@pytest.mark.parametrize("version", [0, 2, 255])
def test_other_version(version: int):
    with pytest.raises(UnsupportedVersion, match=f"version {version} "):
        read(b"LIC" + bytes([version]) + FILE[4:])


@pytest.mark.parametrize("extra", [b"\0", LATENTS, b"LIC"])
def test_trailing_bytes(extra: bytes):
    with pytest.raises(CorruptFile, match=f"{len(extra)} bytes follow"):
        read(FILE + extra)


@pytest.mark.parametrize(
    "fields, reason",
    [
        ("01 deadbeef 00 02 01 c801 78563412", "width is 0"),
        ("01 deadbeef ac02 00 01 c801 78563412", "height is 0"),
        ("01 deadbeef 818040 02 01 c801 78563412", "width is 1048577"),
        ("01 deadbeef 80808001 02 01 c801 78563412", "width goes on"),
        ("01 deadbeef ffffffffffffffffffffff01 02 01 c801 78563412", "width goes on"),
        ("01 deadbeef ac8200 02 01 c801 78563412", "width is written in more bytes"),
        ("01 deadbeef 808040 818040 01 c801 78563412", "height is 1048577"),
        ("01 deadbeef 808040 808040 01 c801 78563412", "1048576x1048576"),
        ("01 deadbeef ac02 02 01 9103 78563412", "quality is 401"),
        ("8080808001 deadbeef ac02 02 01 c801 78563412", "model id goes on"),
        ("00 00 deadbeef ac02 02 01 c801 78563412", "of no network"),
        ("00 00 00000000 ac02 02 01 c801 78563412", "of no network"),
        ("00 41 deadbeef ac02 02 01 c801 78563412", "name is 65"),
        ("00 02 610a deadbeef ac02 02 01 c801 78563412", "not plain ASCII"),
        ("00 02 2e2f deadbeef ac02 02 01 c801 78563412", "not plain ASCII"),
        ("00 02 c3a9 deadbeef ac02 02 01 c801 78563412", "not plain ASCII"),
    ],
)
def test_header_value_out_of_range(fields: str, reason: str):
    with pytest.raises(CorruptFile, match=reason):
        read(header(fields) + LATENTS)


@pytest.mark.parametrize("samples", ["00", "05", "07", "11", "1b", "61", "41", "81", "ff"])
def test_sample_formats_of_later_releases(samples: str):
    with pytest.raises(UnsupportedFeature, match="sample format"):
        read(header(f"01 deadbeef ac02 02 {samples} c801 78563412") + LATENTS)


@pytest.mark.parametrize(
    "width, height", [(40_000, 40_000), (2**20, 2**11), (1, 2**20), (2**20, 1), (4096, 4160)]
)
def test_more_pixels_than_so_small_a_file_can_hold(width: int, height: int):
    data = bitstream._write(Header(model_id=1, width=width, height=height), [Section(1, b"")])
    with pytest.raises(CorruptFile, match=f"{width}x{height} pixels in {len(data)} bytes"):
        read(data)


def tiled(width: int, height: int, side: int = 2048) -> tuple[Header, Table]:
    """A header, and a table of empty tiles that goes with it."""
    table = Table(side, side)
    table.tiles = [Tile() for _ in range(bitstream.tile_count(width, height, side, side))]
    return Header(model_id=1, width=width, height=height, latents=table.checksum), table


@pytest.mark.parametrize("size", [(40_000, 40_000), (4096, 4160), (2**20, 2**11)])
def test_writer_pads_instead(size: tuple[int, int]):
    h, table = tiled(*size)
    data = write(h, b"", table=table)
    again, sections = read(data)
    assert again == h
    assert sections[-1].kind == bitstream.PADDING
    assert 8 * len(data) / (size[0] * size[1]) < 0.00013


def test_writer_pads_no_more_than_it_must():
    h, table = tiled(1, 2**20)
    assert [s.kind for s in read(write(h, b"", table=table))[1]] == [bitstream.TILES, 1]


# ---- tiles


def test_bytes_of_a_tiled_file():
    """Two tiles of 64x64: a table of two entries, and their streams in one section."""
    tiles = [Tile(3, zlib.crc32(b"abc"), 1), Tile(0, 0, 2**32 - 1)]
    table = Table(64, 64, tiles)
    h = Header(model_id=1, width=65, height=64, latents=table.checksum)
    entries = b"\3" + zlib.crc32(b"abc").to_bytes(4, "little") + b"\1\0\0\0"
    entries += b"\0" + bytes(4) + b"\xff" * 4
    fields = header("01 00000000 41 40 03 00" + table.checksum.to_bytes(4, "little").hex())
    expected = fields + section(0x46, b"\1\1" + entries) + section(1, b"abc")
    assert write(h, b"abc", table=table) == expected
    again, sections = read(expected)
    assert bitstream.read_table(again, sections) == table


@given(st.integers(1, 2**20), st.integers(1, 2**11), st.data())
def test_round_trip_of_a_table(width: int, height: int, data: st.DataObject):
    side = 1024
    count = bitstream.tile_count(width, height, side, side)
    if count < 2:
        return
    entry = st.builds(Tile, st.integers(0, 2**20), st.integers(0, 2**32 - 1), st.just(7))
    table = Table(side, side, [data.draw(entry)] * count)
    h = Header(model_id=1, width=width, height=height, latents=table.checksum)
    io = bitstream.Writer()
    bitstream.table_syntax(io, table, h)
    assert bitstream.parse_table(h, bytes(io.data)) == table


def tile_file(payload: bytes, latents: int | None = None, width: int = 65) -> bytes:
    """A file of two tiles with this payload in the section TILES."""
    checksum = zlib.crc32(bytes(8)) if latents is None else latents
    h = Header(model_id=1, width=width, height=64, latents=checksum)
    sections = [Section(bitstream.TILES, payload, more=True), Section(1, b"")]
    return bitstream._write(h, sections)


EMPTY = bytes(9)


def test_the_example_of_the_tests_below_is_right():
    h, sections = read(tile_file(b"\1\1" + 2 * EMPTY))
    assert len(bitstream.read_table(h, sections).tiles) == 2


@pytest.mark.parametrize(
    "payload, reason",
    [
        (b"", "width of a tile"),
        (b"\1\1" + EMPTY, "inside"),
        (b"\1\1" + 2 * EMPTY[:-1], "inside"),
        (b"\1\1" + 3 * EMPTY, "bytes follow"),
        (b"\0\1" + 2 * EMPTY, "width of a tile is 0"),
        (b"\1\0" + 2 * EMPTY, "height of a tile is 0"),
        (b"\x81\x08\1" + 2 * EMPTY, "width of a tile is 1025"),
        (b"\x21\x20" + 2 * EMPTY, "33x32 blocks"),
        (b"\2\1" + EMPTY, "only one tile"),
        (b"\1\1" + 2 * (b"\1" + bytes(8)), "said to have 2 bytes, not 0"),
    ],
)
def test_malformed_tables(payload: bytes, reason: str):
    h, sections = read(tile_file(payload))
    with pytest.raises(CorruptFile, match=reason):
        bitstream.read_table(h, sections)


def test_table_of_another_picture():
    h, sections = read(tile_file(b"\1\1" + 2 * EMPTY, latents=5))
    with pytest.raises(CorruptFile, match="another picture"):
        bitstream.read_table(h, sections)


def test_writer_refuses_tables():
    h, table = tiled(4096, 4096)
    table.width = 4096
    with pytest.raises(ValueError, match="64x32 blocks"):
        write(h, b"", table=table)


def test_table_that_is_not_first():
    table = section(0x46, b"\1\1" + 2 * EMPTY)
    fields = header("01 00000000 41 40 03 00 00000000")
    for sections in (section(0x41, b"") + section(6, b""), section(0x46, b"") + table + LATENTS):
        with pytest.raises(CorruptFile, match=r"first section|does not begin"):
            read(fields + sections)
    with pytest.raises(CorruptFile, match="does not begin"):
        read(fields + section(6, b"\1\1" + 2 * EMPTY))


def test_more_pixels_than_one_piece_may_have():
    data = bitstream._write(Header(model_id=1, width=2048, height=2049), [Section(1, bytes(4000))])
    with pytest.raises(CorruptFile, match="not in tiles"):
        read(data)


def test_damaged_section_where_it_is_tolerated():
    data = bytearray(FILE)
    data[-6] ^= 1
    (latents,) = read(data, tolerate=[1])[1]
    assert not latents.intact
    with pytest.raises(CorruptFile):
        read(data, tolerate=[2])


def test_padding_that_is_not_zero():
    with pytest.raises(CorruptFile, match="padding"):
        read(HEADER + section(0x41, PAYLOAD) + section(0x82, b"\0\1"))


def test_unknown_optional_section_is_skipped():
    data = HEADER + section(0x41, PAYLOAD) + section(0xC0 | 33, b"later") + section(0x82, b"\0")
    assert read(data)[1][0].payload == PAYLOAD


def test_unknown_section_that_must_be_known():
    with pytest.raises(UnsupportedFeature, match="section 33"):
        read(HEADER + section(0x41, PAYLOAD) + section(33, b"later"))


def test_latents_twice():
    with pytest.raises(CorruptFile, match="twice"):
        read(HEADER + section(0x41, PAYLOAD) + LATENTS)


@pytest.mark.parametrize("first", [section(0xC0 | 33, b"") + LATENTS, section(0x81, PAYLOAD)])
def test_latents_not_first(first: bytes):
    with pytest.raises(CorruptFile, match="does not begin"):
        read(HEADER + first)


ALPHA, ICC, EXIF, COLOUR = (section(tag, PAYLOAD) for tag in (0x43, 0xC4, 0xC5, 0xC8))
END = section(0x82, b"")


@pytest.mark.parametrize("kind", [ALPHA, ICC, EXIF, COLOUR, section(0xC2, b"")])
def test_any_section_twice(kind: bytes):
    fields = GOOD.replace(" 01 c801", " 02 c801") if kind is ALPHA else GOOD
    with pytest.raises(CorruptFile, match="twice"):
        read(header(fields) + section(0x41, PAYLOAD) + kind + kind + END)


@pytest.mark.parametrize("tag", [0xC3, 0x44, 0x45, 0x48, 0x42])
def test_section_with_a_wrong_tag(tag: int):
    with pytest.raises(CorruptFile, match="wrong tag"):
        read(HEADER + section(0x41, PAYLOAD) + section(tag, b"") + END)


@pytest.mark.parametrize(
    "samples, alpha", [("01", True), ("03", True), ("02", False), ("04", False)]
)
def test_channels_without_their_alpha_and_alpha_without_its_channel(samples: str, alpha: bool):
    fields = GOOD.replace(" 01 c801", f" {samples} c801")
    with pytest.raises(CorruptFile, match="channels do not go"):
        read(header(fields) + section(0x41, PAYLOAD) + ALPHA * alpha + END)


def test_sections_of_every_kind():
    h = example()
    h.channels, h.depth = 4, 16
    others = {bitstream.ALPHA: b"a", bitstream.ICC: b"bc", bitstream.EXIF: b"def"}
    others[bitstream.COLOUR] = b"g"
    again, sections = read(write(h, PAYLOAD, others))
    assert again == h
    assert {s.kind: bytes(s.payload) for s in sections} == {1: PAYLOAD, **others}


def test_section_said_to_follow_does_not():
    with pytest.raises(TruncatedFile):
        read(HEADER + section(0x41, PAYLOAD))


def test_section_longer_than_the_file():
    with pytest.raises(TruncatedFile):
        read(HEADER + bytes.fromhex("01 ffffffff0f") + PAYLOAD)


def test_damaged_payload_is_left_to_those_who_ask():
    data = bytearray(FILE)
    data[-6] ^= 1
    with pytest.raises(CorruptFile, match="section"):
        read(data)
    assert read(data, verify_sections=False)[0] == example()
