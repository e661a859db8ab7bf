"""What can be told of a picture before it is decoded: its header and its metadata."""

from __future__ import annotations

from dataclasses import dataclass

from lictor.codec.errors import CorruptFile
from lictor.codec.format import colour as signalling
from lictor.codec.format import picture as bitstream
from lictor.codec.format.colour import Signalling
from lictor.codec.format.elements import Bytes, Reader
from lictor.codec.format.picture import COLOUR, EXIF, ICC, Header, Section
from lictor.codec.picture import metadata


@dataclass(frozen=True)
class Outline:
    """The header; ICC profile, EXIF and signalling of colours, empty where there are none."""

    header: Header
    icc: bytes = b""
    exif: bytes = b""
    signalling: Signalling = signalling.NONE


def outline(data: Bytes) -> Outline:
    """Of a file that may be cut or damaged behind its header; metadata that are, are left out.

    Whoever decodes it is told by an error.

    Raises:
        FileError: the header is damaged, or not of a picture that this release could decode.
    """
    io = Reader(data)
    header = bitstream.read_header(io, data)
    found: dict[str, bytes | Signalling] = {}
    section = Section(more=True)
    try:
        while section.more:
            section = bitstream.section_syntax(io, Section())
            if section.intact:
                found |= _told(section)
    except CorruptFile:
        pass
    return Outline(header, **found)  # type: ignore[arg-type]


def _told(section: Section) -> dict[str, bytes | Signalling]:
    """What of an Outline a section holds. Raises CorruptFile."""
    if section.kind == ICC:
        return {"icc": metadata.unpack(section.payload)}
    if section.kind == EXIF:
        return {"exif": metadata.unpack(section.payload)}
    if section.kind == COLOUR:
        return {"signalling": signalling.unpack(section.payload)}
    return {}
