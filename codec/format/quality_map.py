"""The syntax of a quality map: the payload of the section MAP, but for what its stream holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from lictor.codec.format.elements import Bytes, Reader, Writer
from lictor.codec.format.picture import BLOCK, Header
from lictor.models.quality import PLACE, STEPS

MAX_LEVELS = 64
"""Of a quality map."""
MAX_SYMBOLS = 4 * (MAX_LEVELS - 1) + 1
"""Of a quality map, whose differences of differences lie within twice its levels."""
MAX_LOG = 56
_ZERO = 2 * (MAX_LEVELS - 1)


@dataclass
class MapCode:
    """The quality map as it is coded: how many units each place is below the header's quality.

    unit: in steps of quality.
    levels: how many there are, 2…MAX_LEVELS; the places have 0…levels − 1 units, both included.
    way: bit 0: differences are taken down the columns, from row to row; bit 1: along the rows.
    offset: the lowest symbol.
    logs: of the frequencies of the symbols from there on, 4 · log2.
    stream: the entropy coder's.
    """

    unit: int = 1
    levels: int = 2
    way: int = 0
    offset: int = 0
    logs: list[int] = field(default_factory=lambda: [0])
    stream: Bytes = b""


def syntax(io: Reader | Writer, m: MapCode, header: Header) -> MapCode:
    """The payload of the section MAP, up to the stream, which is the rest."""
    m.unit = io.varint("unit of the quality map", m.unit, 1, STEPS)
    m.levels = io.uint("levels of the quality map", m.levels, 2, MAX_LEVELS)
    if m.unit * (m.levels - 1) > header.step:
        raise io.complaint("the quality map falls below quality 0")
    m.way = io.uint("differences of the quality map", m.way, 0, 3)
    m.offset = io.uint("lowest symbol of the quality map", m.offset + _ZERO) - _ZERO
    count = io.uint("symbols of the quality map", len(m.logs), 1, MAX_SYMBOLS)
    logs = [*m.logs, *[0] * count][:count]
    m.logs = [io.uint("frequency of the quality map", log, 0, MAX_LOG) for log in logs]
    return m


def shape(header: Header) -> tuple[int, int]:
    """Rows and columns of a quality map."""
    places = BLOCK // PLACE
    return -(-header.height // BLOCK) * places, -(-header.width // BLOCK) * places


def write(code: MapCode, header: Header) -> bytes:
    """The payload of the section MAP."""
    io = Writer()
    syntax(io, code, header)
    return bytes(io.data) + bytes(code.stream)


def parse(header: Header, payload: Bytes) -> MapCode:
    """The payload of the section MAP. Raises CorruptFile."""
    io = Reader(payload)
    code = syntax(io, MapCode(), header)
    code.stream = payload[io.position :]
    return code
