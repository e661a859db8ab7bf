"""What can be had from a damaged file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from lictor.codec.errors import CorruptFile
from lictor.codec.format import overlay
from lictor.codec.format import picture as bitstream
from lictor.codec.format.elements import Bytes, Reader, varint_size
from lictor.codec.format.picture import (
    ALPHA,
    LATENTS,
    MAP,
    NAMES,
    TILES,
    Header,
    Section,
)
from lictor.codec.picture.file import File
from lictor.models.box import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHECK_BYTES = 4
_NOTHING = (
    "nothing can be saved of this file: its latents, its tile table or its quality map are "
    "damaged; get another copy of it"
)
_BLUR = 33
"""Pixels along the edge of a hole that are averaged, so that no texture is drawn into it."""


def read(data: Bytes) -> File:
    """A file with the sections that are intact and a line on each that is not.

    Latents in tiles are given as they are, and as far as there are any: the table says where each
    tile is, whatever became of the rest. Likewise what other methods coded.

    Raises:
        FileError: the header, the tile table or the quality map is damaged, or the latents of a
            picture that is in one piece.
    """
    io = Reader(data)
    header = bitstream.read_header(io, data)
    sections: list[Section] = []
    lost: list[str] = []
    table = None
    if header.network:
        first = _needed(io, {MAP if header.mapped else LATENTS, TILES}, sections)
        bitstream.check_piece(header, tiled=first.kind == TILES)
        if first.kind == TILES:
            table = bitstream.parse_table(header, first.payload)
    if header.mapped and (table or not header.network):
        _needed(io, {MAP}, sections)
    if table:
        size = table.size
        start = io.position + 1 + varint_size(size)
        sections.append(Section(LATENTS, data[start : start + size]))
        io.seek(start + size + _CHECK_BYTES)
        if io.position > len(data):
            lost.append(f"the file ends after {len(data)} bytes")
    elif header.mapped and header.network:
        _needed(io, {LATENTS}, sections)
    lost += _others(io, len(data), sections, header)
    if header.channels in (2, 4) and not bitstream.payload(sections, ALPHA):
        lost.append("the alpha plane is lost; all is opaque")
    try:
        overlay.check_cover(header, sections, bitstream.CODED - {LATENTS})
    except CorruptFile:
        raise CorruptFile(_NOTHING) from None
    return File(header, sections, table, True, lost)


def _needed(io: Reader, kinds: Collection[int], sections: list[Section]) -> Section:
    """The next section, without which there is nothing; added to those there are."""
    section = bitstream.section_syntax(io, Section())
    if not section.intact or section.kind not in kinds:
        raise CorruptFile(_NOTHING)
    sections.append(section)
    return section


def _others(io: Reader, end: int, sections: list[Section], header: Header) -> Iterator[str]:
    """Adds the intact ones, and what can be had of those in tiles; gives a line on each other."""
    while io.position < end:
        start = io.position
        try:
            section = bitstream.section_syntax(io, Section())
        except CorruptFile:
            io.seek(start)
            section = bitstream.cut_section(io)
            if _tiled(section, header):
                sections.append(section)
            yield "the end of the file is damaged"
            return
        known = section.kind in NAMES and section.kind not in {s.kind for s in sections}
        if known and (section.intact or _tiled(section, header)):
            sections.append(section)
        elif not (section.intact and section.optional):
            yield f"the {NAMES.get(section.kind, 'end of the file')} is damaged and left out"


def _tiled(section: Section, header: Header) -> bool:
    """Whether it is of a method that codes tiles, and its table says which of them are intact."""
    if section.kind not in bitstream.CODED - {LATENTS}:
        return False
    try:
        overlay.parse(header, section.payload, whole=False)
    except CorruptFile:
        return False
    return True


def fill(pixels: NDArray[Any], holes: Collection[Box]) -> None:
    """Paint holes over, each with what lies along its sides; flat gray where nothing does.

    Args:
        pixels: uint8 or uint16 (H, W, C).
        holes: boxes of a grid, inside the picture.
    """
    for hole in holes:
        pixels[hole.place] = _painted(pixels, hole, holes)


def _painted(pixels: NDArray[Any], hole: Box, holes: Collection[Box]) -> NDArray[Any]:
    import numpy as np

    height, width, channels = pixels.shape
    total = np.zeros((hole.height, hole.width, channels), np.float32)
    weights = np.zeros((hole.height, hole.width, 1), np.float32)
    down = np.arange(1, hole.height + 1, dtype=np.float32)[:, None, None]
    across = np.arange(1, hole.width + 1, dtype=np.float32)[None, :, None]
    sides = (
        (Box(hole.top - 1, hole.left, 1, hole.width), down),
        (Box(hole.bottom, hole.left, 1, hole.width), down[::-1]),
        (Box(hole.top, hole.left - 1, hole.height, 1), across),
        (Box(hole.top, hole.right, hole.height, 1), across[:, ::-1]),
    )
    for line, distance in sides:
        outside = line.within(Box(0, 0, height, width)) != line
        if not outside and not any(_meet(line, other) for other in holes):
            total += _blurred(pixels[line.place]) / distance
            weights += 1 / distance
    if not weights.any():
        return np.full(total.shape, np.iinfo(pixels.dtype).max // 2 + 1, pixels.dtype)
    return np.rint(total / weights).astype(pixels.dtype)


def _meet(a: Box, b: Box) -> bool:
    shared = a.within(b)
    return bool(shared.height and shared.width)


def _blurred(line: NDArray[Any]) -> NDArray[Any]:
    """A line of pixels, (1, n, C) or (n, 1, C), averaged along itself."""
    import numpy as np

    flat = line.reshape(-1, line.shape[2]).astype(np.float32)
    wide = np.pad(flat, ((_BLUR // 2, _BLUR // 2), (0, 0)), mode="edge")
    kernel = np.full(_BLUR, 1 / _BLUR, np.float32)
    smooth = [np.convolve(channel, kernel, "valid") for channel in wide.T]
    return np.stack(smooth, axis=1).reshape(line.shape)
