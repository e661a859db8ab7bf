"""What a method without a network coded: which blocks of a picture, and a stream for each tile.

FORMAT.md, "Other methods", is the specification. The mask is a whole number: bit n of it is block
n, row by row.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from lictor.codec.errors import CorruptFile
from lictor.codec.format import picture as bitstream
from lictor.codec.format.elements import Bytes, Reader, Writer
from lictor.codec.format.picture import BLOCK, Header, Section, Table


@dataclass
class Overlay:
    """The payload of the section of such a method.

    table: the tiles that have a block of it, row by row; the others have no entry.
    mask: the blocks that it codes, a bit each; all of them have all bits of `everything`.
    streams: of all entries, one after another; of a damaged file, as much as there is.
    """

    mask: int = 0
    table: Table = field(default_factory=Table)
    streams: Bytes = b""

    def streams_by_tile(self, header: Header) -> dict[int, tuple[bitstream.Tile, Bytes]]:
        """The entry and the stream of each tile that has one, by its number in the grid."""
        found, start = {}, 0
        numbers = tiles_of(self.mask, header, self.table)
        for number, tile in zip(numbers, self.table.tiles, strict=True):
            found[number] = tile, self.streams[start : start + tile.size]
            start += tile.size
        return found


def everything(header: Header) -> int:
    """The mask of all blocks of a picture."""
    return (1 << bitstream.block_count(header)) - 1


def tiles_of(mask: int, header: Header, table: Table) -> list[int]:
    """The tiles that have a block of the mask, in order."""
    if mask == everything(header):
        return list(
            range(bitstream.tile_count(header.width, header.height, table.width, table.height))
        )
    rows, columns = -(-header.height // BLOCK), -(-header.width // BLOCK)
    wide, high = table.width // BLOCK, table.height // BLOCK
    bits = f"{mask:b}"[::-1].ljust(rows * columns, "0")
    lines = [bits[start : start + columns] for start in range(0, rows * columns, columns)]
    places = [(top, left) for top in range(0, rows, high) for left in range(0, columns, wide)]
    return [
        number
        for number, (top, left) in enumerate(places)
        if any("1" in line[left : left + wide] for line in lines[top : top + high])
    ]


def overlay_syntax(io: Reader | Writer, o: Overlay, header: Header) -> Overlay:
    """The payload up to the streams, which are the rest."""
    bitstream.sides_syntax(io, o.table)
    full = everything(header)
    some = io.uint("whether blocks are left out", int(o.mask != full), 0, 1)
    size = -(-bitstream.block_count(header) // 8)
    if some:
        o.mask = int.from_bytes(io.raw("mask", o.mask.to_bytes(size, "little"), size), "little")
        if not 0 < o.mask < full:
            raise io.complaint("the mask of blocks has none, or all, or such as there are not")
    else:
        o.mask = full
    bitstream.tiles_syntax(io, o.table, len(tiles_of(o.mask, header, o.table)))
    if not io.crc32("table", 0):
        raise io.complaint("a table of tiles does not match its checksum")
    return o


def write(overlay: Overlay, header: Header) -> bytes:
    """The payload. ValueError for what the format cannot hold."""
    io = Writer()
    overlay_syntax(io, overlay, header)
    return bytes(io.data) + bytes(overlay.streams)


def parse(header: Header, payload: Bytes, whole: bool = True) -> Overlay:
    """The payload; whole: the streams must be all there. Raises CorruptFile."""
    io = Reader(payload)
    overlay = overlay_syntax(io, Overlay(), header)
    overlay.streams = payload[io.position :]
    if whole and len(overlay.streams) != overlay.table.size:
        raise io.complaint("the streams of a method are longer or shorter than it says")
    return overlay


def check_cover(header: Header, sections: Iterable[Section], kinds: Iterable[int]) -> None:
    """That each block of a picture is coded, by the network or one of the kinds of overlays.

    Raises CorruptFile.
    """
    if header.network:
        return
    mask = 0
    for section in sections:
        if section.kind in kinds:
            mask |= parse(header, section.payload, whole=False).mask
    if mask != everything(header):
        raise CorruptFile(
            "a part of the picture is coded by no method; the file is damaged, get another copy "
            "of it"
        )


def entry(stream: bytes, checksum: int) -> bitstream.Tile:
    """What the table has of a tile."""
    return bitstream.Tile(len(stream), zlib.crc32(stream), checksum)
