"""The syntax of a Lictor file, stated once: the same functions read and write it.

FORMAT.md is the specification. A syntax function walks over the elements of its structure in
file order and hands each to `io`, a Reader or a Writer, with its name, its value and its range.
A Writer writes the value and returns it; a Reader ignores it and returns what the file says.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lictor.codec.errors import (
    CorruptFile,
    UnsupportedFeature,
)
from lictor.codec.format.elements import Bytes, Reader, Writer, check_magic, version_syntax
from lictor.models.quality import STEPS, Quality

MAGIC = b"LIC"
VERSION = 1

MAX_MODEL_ID = 2**28 - 1
MAX_NAME = 64
"""Bytes of a model's name."""
MAX_SIDE = 2**20
MAX_PIXELS = 2**31
MAX_SECTION = 2**40

BLOCK = 64
FREE_BLOCKS = 1024
BLOCKS_PER_BYTE = 16
"""A file of n bytes holds at most FREE_BLOCKS + BLOCKS_PER_BYTE * n blocks of 64x64 pixels."""

MAX_TILE_BLOCKS = 1024
"""Of a tile, and of a picture without tiles: bounds the memory that one piece of work takes."""

LATENTS = 1
PADDING = 2
ALPHA = 3
ICC = 4
EXIF = 5
TILES = 6
MAP = 7
COLOUR = 8
LINEAR = 9
LOSSLESS = 10
OVERFIT = 11
NETWORKS = 12
WIENER = 13
_KNOWN_OPTIONAL = {
    LATENTS: False,
    PADDING: True,
    ALPHA: False,
    ICC: True,
    EXIF: True,
    TILES: False,
    MAP: False,
    COLOUR: True,
    LINEAR: False,
    LOSSLESS: False,
    OVERFIT: False,
    NETWORKS: False,
    WIENER: False,
}
"""Kinds of section, and whether a reader may skip them."""
CODED = frozenset((LATENTS, LINEAR, LOSSLESS, OVERFIT))
"""Kinds whose sections say what the samples are, all of them or those of some blocks: what a method
of codec/picture/methods/ wrote."""
NAMES = {
    LATENTS: "latents",
    PADDING: "padding",
    ALPHA: "alpha plane",
    ICC: "colour profile",
    EXIF: "EXIF data",
    TILES: "tile table",
    MAP: "quality map",
    COLOUR: "colour signalling",
    LINEAR: "linear blocks",
    LOSSLESS: "lossless blocks",
    OVERFIT: "overfitted grids",
    NETWORKS: "networks of the picture",
    WIENER: "Wiener filter",
}
"""What users read of the kinds of section."""

MAX_METADATA = 2**22
"""Bytes of a colour profile or of EXIF data, unpacked."""

_CHANNELS = (1, 2, 3, 4)
_DEPTHS = (8, 16)
"""Bits per sample, by their code in the file."""
_MAPPED = 0x20
_MORE = 0x40
_OPTIONAL = 0x80


@dataclass
class Header:
    """What a file says before its payload.

    model_id: permanent number of a shipped checkpoint; 0 if the model goes by model_name. Both are
        empty if no network coded any of it.
    weights: first 4 bytes of the SHA-256 of the model's weights file; zeros without a network.
    channels: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha.
    depth: bits per sample, 8 or 16.
    mapped: the quality varies; the section MAP says how.
    step: quality times 4, 0…400; the highest, if it varies.
    latents: checksum of the latents, `lictor.entropy.Decoder.checksum`; of a picture in tiles,
        `Table.checksum`. Zero without a network.
    """

    version: int = VERSION
    model_id: int = 0
    model_name: str = ""
    weights: bytes = bytes(4)
    width: int = 1
    height: int = 1
    channels: int = 3
    depth: int = 8
    mapped: bool = False
    step: int = 0
    latents: int = 0

    @property
    def quality(self) -> Quality:
        """The highest, if it varies."""
        return Quality(self.step)

    @property
    def network(self) -> bool:
        """Whether a network coded it, so that there are latents."""
        return bool(self.model_id or self.model_name)


@dataclass
class Section:
    """One part of the payload.

    optional: a reader that does not know this kind may skip it.
    more: another section follows.
    intact: its check is right, or was not looked at.
    """

    kind: int = 0
    payload: Bytes = b""
    optional: bool = False
    more: bool = False
    intact: bool = True


@dataclass
class Tile:
    """One tile's part of what a method coded.

    size: bytes of its stream.
    check: CRC-32 of them.
    latents: checksum of its latents, `lictor.entropy.Decoder.checksum`; of another method than the
        network, of what that says.
    """

    size: int = 0
    check: int = 0
    latents: int = 0


@dataclass
class Table:
    """The tiles of a picture, row by row. Width and height of a tile in pixels."""

    width: int = BLOCK
    height: int = BLOCK
    tiles: list[Tile] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all streams."""
        return sum(tile.size for tile in self.tiles)

    @property
    def checksum(self) -> int:
        """What the header has for the latents of all tiles."""
        return zlib.crc32(b"".join(tile.latents.to_bytes(4, "little") for tile in self.tiles))


def header_syntax(io: Reader | Writer, h: Header) -> Header:
    """Everything before the payload."""
    h.version = version_syntax(io, MAGIC, h.version, range(VERSION, VERSION + 1), "format")
    model_syntax(io, h, needed=False)
    h.width = io.varint("width", h.width, 1, MAX_SIDE)
    h.height = io.varint("height", h.height, 1, MAX_SIDE)
    if h.width * h.height > MAX_PIXELS:
        raise io.complaint(f"{h.width}x{h.height} is more than {MAX_PIXELS} pixels")
    _sample_syntax(io, h)
    h.step = io.varint("quality", h.step, 0, STEPS)
    h.latents = io.uint("checksum of the latents", h.latents, size=4)
    io.crc16("header")
    if not h.network and (any(h.weights) or h.latents):
        raise io.complaint("there are weights, or latents, of no network")
    return h


class Named(Protocol):
    """What names the model that a file was written with: as in Header."""

    model_id: int
    model_name: str
    weights: bytes


def model_syntax(io: Reader | Writer, h: Named, needed: bool = True) -> None:
    """Which model, and which weights; needed: there must be one."""
    h.model_id = io.varint("model id", h.model_id, 0, MAX_MODEL_ID)
    if h.model_id == 0:
        h.model_name = _name_syntax(io, h.model_name, needed)
    h.weights = bytes(io.raw("hash of the weights", h.weights, 4))


def _name_syntax(io: Reader | Writer, name: str, needed: bool) -> str:
    """Printable ASCII and no slash: it is shown on terminals and looked for in folders."""
    encoded = name.encode("ascii", "replace")
    size = io.uint("length of the model's name", len(encoded), high=MAX_NAME)
    encoded = bytes(io.raw("model's name", encoded, size))
    if (needed and not encoded) or any(c < 0x21 or c > 0x7E or c in b"/\\?" for c in encoded):
        raise io.complaint("the model's name is empty or not plain ASCII")
    return encoded.decode("ascii")


def _sample_syntax(io: Reader | Writer, h: Header) -> None:
    """One byte: channels in bits 0-2, the code of the depth in bits 3-4, mapped in bit 5, zeros."""
    own = h.channels | _DEPTHS.index(h.depth) << 3 | h.mapped * _MAPPED
    code = io.uint("sample format", own)
    h.channels, depth_code, h.mapped = code & 7, code >> 3 & 3, bool(code & _MAPPED)
    if h.channels not in _CHANNELS or depth_code >= len(_DEPTHS) or code >> 6:
        raise UnsupportedFeature(
            f"sample format {code:#04x} is not known to this release; install the newest Lictor"
        )
    h.depth = _DEPTHS[depth_code]


def section_syntax(io: Reader | Writer, s: Section) -> Section:
    """Tag, length, payload, check of all three."""
    start = io.position
    tag = io.uint("section tag", s.kind | s.more * _MORE | s.optional * _OPTIONAL)
    s.kind, s.more, s.optional = tag & 0x3F, bool(tag & _MORE), bool(tag & _OPTIONAL)
    size = io.varint("length of a section", len(s.payload), 0, MAX_SECTION)
    s.payload = io.raw("section", s.payload, size)
    s.intact = io.crc32("section", start)
    return s


def cut_section(io: Reader) -> Section:
    """What there is of a section that the file ends in."""
    try:
        tag = io.uint("section tag", 0)
        io.varint("length of a section", 0, 0, MAX_SECTION)
    except CorruptFile:
        return Section(intact=False)
    return Section(tag & 0x3F, io.rest(), intact=False)


def table_syntax(io: Reader | Writer, t: Table, header: Header) -> Table:
    """The payload of the section TILES."""
    sides_syntax(io, t)
    count = tile_count(header.width, header.height, t.width, t.height)
    if count < 2:
        raise io.complaint("the table has only one tile")
    tiles_syntax(io, t, count)
    return t


def sides_syntax(io: Reader | Writer, t: Table) -> None:
    """Width and height of a tile."""
    wide = io.varint("width of a tile", t.width // BLOCK, 1, MAX_TILE_BLOCKS)
    high = io.varint("height of a tile", t.height // BLOCK, 1, MAX_TILE_BLOCKS)
    if wide * high > MAX_TILE_BLOCKS:
        raise io.complaint(f"a tile has {wide}x{high} blocks, more than {MAX_TILE_BLOCKS}")
    t.width, t.height = wide * BLOCK, high * BLOCK


def tiles_syntax(io: Reader | Writer, t: Table, count: int) -> None:
    """The entries of so many tiles."""
    for number in range(count):
        tile = t.tiles[number] if number < len(t.tiles) else Tile()
        tile.size = io.varint("size of a tile", tile.size, 0, MAX_SECTION)
        tile.check = io.uint("check of a tile", tile.check, size=4)
        tile.latents = io.uint("checksum of a tile's latents", tile.latents, size=4)
        if number == len(t.tiles):
            t.tiles.append(tile)


def tile_count(width: int, height: int, tile_width: int, tile_height: int) -> int:
    """How many tiles a picture has."""
    return -(-width // tile_width) * -(-height // tile_height)


def write(
    header: Header,
    latents: bytes | None,
    others: Mapping[int, bytes] | None = None,
    table: Table | None = None,
) -> bytes:
    """The file of one picture.

    Args:
        header: complete; a value that the format cannot hold raises ValueError.
        latents: what `lictor.entropy.Encoder.finish` returned, of all tiles in order; None without
            a network.
        others: payloads of what other methods coded, and of MAP, ALPHA, ICC, EXIF and COLOUR, where
            there are such.
        table: of a picture in tiles.
    """
    payloads = {**(others or {})}
    if latents is not None:
        payloads = {LATENTS: latents, **payloads}
    if header.network != (LATENTS in payloads) or not CODED & payloads.keys():
        raise ValueError("there are latents, and a network, or neither but another method")
    if header.mapped:
        payloads = {MAP: payloads[MAP], **payloads}
    if table is not None:
        io = Writer()
        table_syntax(io, table, header)
        payloads = {TILES: bytes(io.data), **payloads}
    data = _write(header, _chain(payloads))
    missing = -(-(block_count(header) - FREE_BLOCKS) // BLOCKS_PER_BYTE) - len(data)
    if missing > 0:
        data = _write(header, _chain({**payloads, PADDING: bytes(missing)}))
    return data


def _chain(payloads: Mapping[int, bytes]) -> list[Section]:
    sections = [
        Section(kind, payload, optional=_KNOWN_OPTIONAL[kind], more=True)
        for kind, payload in payloads.items()
    ]
    sections[-1].more = False
    return sections


def _write(header: Header, sections: list[Section]) -> bytes:
    io = Writer()
    header_syntax(io, header)
    for section in sections:
        section_syntax(io, section)
    return bytes(io.data)


def read(
    data: Bytes, *, verify_sections: bool = True, tolerate: Collection[int] = ()
) -> tuple[Header, list[Section]]:
    """Parse a whole file. Payloads are views into `data`.

    Args:
        data: the file's bytes.
        verify_sections: False skips the checksums of the sections, not that of the header.
        tolerate: kinds of section whose checksum may be wrong; they are then not `intact`.

    Raises:
        FileError: NotALictorFile, UnsupportedVersion, UnsupportedFeature, TruncatedFile
            or CorruptFile.
    """
    io = Reader(data, verify_sections)
    header = read_header(io, data)
    sections = [Section(more=True)]
    while sections[-1].more:
        sections.append(section_syntax(io, Section()))
        if not sections[-1].intact and sections[-1].kind not in tolerate:
            raise io.complaint("a section does not match its checksum")
    del sections[0]
    if io.position != len(data):
        raise io.complaint(f"{len(data) - io.position} bytes follow the end of the file")
    _check_sections(io, header, sections)
    return header, sections


def read_header(io: Reader, data: Bytes) -> Header:
    """The header, and that the file is not too small for what it declares."""
    _check_magic(data)
    header = header_syntax(io, Header())
    if block_count(header) > FREE_BLOCKS + BLOCKS_PER_BYTE * len(data):
        raise io.complaint(
            f"{header.width}x{header.height} pixels in {len(data)} bytes is more than any "
            "encoder writes"
        )
    return header


def read_table(header: Header, sections: list[Section]) -> Table | None:
    """The tiles; None of a picture that is coded whole. Raises CorruptFile."""
    if sections[0].kind != TILES:
        return None
    table = parse_table(header, sections[0].payload)
    found = len(payload(sections, LATENTS))
    if table.size != found:
        raise CorruptFile(
            f"the tiles are said to have {table.size} bytes, not {found}; the "
            "file is damaged, get another copy of it"
        )
    return table


def parse_table(header: Header, payload: Bytes) -> Table:
    """The payload of the section TILES. Raises CorruptFile."""
    io = Reader(payload)
    table = table_syntax(io, Table(), header)
    if io.position != len(payload):
        raise io.complaint("bytes follow the last tile of the table")
    if table.checksum != header.latents:
        raise io.complaint("the tile table is of another picture")
    return table


def payload(sections: list[Section], kind: int) -> Bytes:
    """The payload of the section of a kind; empty if there is none."""
    return next((s.payload for s in sections if s.kind == kind), b"")


def _check_magic(data: Bytes) -> None:
    check_magic(data, MAGIC, "a Lictor file; give one that `lictor encode`")


def check_piece(header: Header, tiled: bool) -> None:
    """Pictures above the size of the largest tile must be in tiles. Raises CorruptFile."""
    if header.network and not tiled and block_count(header) > MAX_TILE_BLOCKS:
        raise CorruptFile(
            f"{header.width}x{header.height} pixels are not in tiles, as so many must be; the file "
            "is damaged, get another copy of it"
        )


def _check_sections(io: Reader, header: Header, sections: list[Section]) -> None:
    """The order of the sections, their number, and that nothing is left that must be known.

    The latents come first, after a tile table and a quality map; every kind comes once. Without a
    network there are none, but what other methods coded.
    """
    tiled = sections[0].kind == TILES
    needed = [TILES] * tiled + [MAP] * header.mapped + [LATENTS] * header.network
    if [s.kind for s in sections[: len(needed)] if not s.optional] != needed:
        what = " and ".join(NAMES[kind] for kind in needed if kind != TILES) or "tile table"
        raise io.complaint(f"the payload does not begin with the {what}")
    check_piece(header, tiled)
    seen = set()
    for section in sections:
        if section.kind not in _KNOWN_OPTIONAL:
            if not section.optional:
                raise UnsupportedFeature(
                    f"section {section.kind} is not known to this release; install the newest "
                    "Lictor"
                )
            continue
        name = NAMES[section.kind]
        if section.kind in seen:
            raise io.complaint(f"the {name} are there twice")
        if section.optional != _KNOWN_OPTIONAL[section.kind]:
            raise io.complaint(f"the section of the {name} has a wrong tag")
        if section.kind == PADDING and io.verify_sections and any(section.payload):
            raise io.complaint("the padding is not zero")
        seen.add(section.kind)
    if (TILES in seen) != tiled:
        raise io.complaint("the tile table is not the first section")
    if not header.network and seen & {TILES, LATENTS, WIENER}:
        raise io.complaint("there are latents, or a filter, of no network")
    if not CODED & seen:
        raise io.complaint("nothing in it says what its samples are")
    if (OVERFIT in seen) != (NETWORKS in seen):
        raise io.complaint("there are overfitted grids, or networks for such, but not both")
    if (MAP in seen) != header.mapped:
        raise io.complaint("there is a quality map that the header does not know of")
    if (ALPHA in seen) != (header.channels in (2, 4)):
        raise io.complaint(f"{header.channels} channels do not go with the sections there are")


def block_count(h: Header) -> int:
    """How many blocks of 64x64 pixels a picture has."""
    return -(-h.width // BLOCK) * -(-h.height // BLOCK)
